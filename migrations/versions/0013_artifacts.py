"""What a picture consists of is listed in a table of its own, and a picture needs no generator."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("visualizations", "generator_id", nullable=True)
    op.alter_column("learned_costs", "generator_id", nullable=True)


def downgrade() -> None:
    _refuse_what_has_no_generator()
    op.execute("DELETE FROM learned_costs WHERE generator_id IS NULL")
    op.alter_column("learned_costs", "generator_id", nullable=False)
    op.alter_column("visualizations", "generator_id", nullable=False)


def _refuse_what_has_no_generator() -> None:
    """The schema before cannot hold such pictures, and pictures are never thrown away."""
    found = op.get_bind().scalar(
        sa.text("SELECT digest FROM visualizations WHERE generator_id IS NULL ORDER BY digest LIMIT 1")
    )
    if found is not None:
        raise ValueError(
            f"There are visualizations without a generator, such as {found}. The release before cannot hold"
            " them: restore a backup that it has made, or stay with this release."
        )
