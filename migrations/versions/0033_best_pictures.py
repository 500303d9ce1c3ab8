"""An index of the best picture of each unit."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_visualizations_best",
        "visualizations",
        [
            "network_id",
            "layer",
            "unit",
            sa.text("(position_y IS NOT NULL OR token IS NOT NULL)"),
            sa.text("score DESC NULLS LAST"),
            sa.text("activation DESC NULLS LAST"),
            "digest",
        ],
        postgresql_include=["network_sha256", "eye", "position_y", "token"],
        postgresql_where=sa.text("state = 'done'"),
    )


def downgrade() -> None:
    op.drop_index("ix_visualizations_best", "visualizations")
