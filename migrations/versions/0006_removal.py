"""An index that tells whether a generator has pictures, so that one without can be removed."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_visualizations_generator", "visualizations", ["generator_id"])


def downgrade() -> None:
    op.drop_index("ix_visualizations_generator", "visualizations")
