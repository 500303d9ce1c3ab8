"""Streams of events: which items have ended since a moment."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_visualizations_finished", "visualizations", ["finished_at"])


def downgrade() -> None:
    op.drop_index("ix_visualizations_finished", table_name="visualizations")
