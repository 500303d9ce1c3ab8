"""Trainings that workers cannot go on with now are put off."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trainings", sa.Column("stuck_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("trainings", sa.Column("setbacks", sa.Integer(), server_default="0", nullable=False))
    due = sa.Column("not_before", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    op.add_column("trainings", due)


def downgrade() -> None:
    op.execute("UPDATE trainings SET error = NULL WHERE state <> 'failed'")
    for name in ("not_before", "setbacks", "stuck_since"):
        op.drop_column("trainings", name)
