"""How often a worker means to be seen: it is taken for dead after three such times.

Workers of the release before do not say it: 20 s is a third of the minute that they were given.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("heartbeat_seconds", sa.Double(), server_default="20", nullable=False))


def downgrade() -> None:
    op.drop_column("workers", "heartbeat_seconds")
