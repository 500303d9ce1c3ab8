"""The map whose places the table of an export has, and which workers draw maps."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("atlas_exports", sa.Column("map", sa.Text(), nullable=True))
    op.add_column(
        "workers", sa.Column("draws_maps", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("workers", "draws_maps")
    op.drop_column("atlas_exports", "map")
