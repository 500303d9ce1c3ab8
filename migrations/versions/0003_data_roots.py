"""Which workers see pictures to train on, and which of them lack those of a training."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "workers", sa.Column("has_data_root", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column(
        "trainings",
        sa.Column("refused_by", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )


def downgrade() -> None:
    op.drop_column("trainings", "refused_by")
    op.drop_column("workers", "has_data_root")
