"""A picture's score: how good the network finds the whole of it. What was made before has none."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("visualizations", sa.Column("score", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("visualizations", "score")
