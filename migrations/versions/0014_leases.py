"""Leases say of what kind the work is that they are for; those that there are hold batches of pictures."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leases", sa.Column("kind", sa.Text(), server_default="batch", nullable=False))
    op.alter_column("leases", "kind", server_default=None)


def downgrade() -> None:
    op.drop_column("leases", "kind")
