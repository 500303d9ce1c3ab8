"""Turns follow from what waits, so that owners take turns: nothing counts submissions any more."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_TURNS = sa.Sequence("queue_turns")


def upgrade() -> None:
    op.execute(sa.schema.DropSequence(_TURNS))


def downgrade() -> None:
    op.execute(sa.schema.CreateSequence(_TURNS))
    # One number a submission, whose items had the next 2^20 turns.
    op.execute(
        "SELECT setval('queue_turns', greatest(1,"
        " (SELECT max(queue_order) FROM visualizations) / 1048576 + 1))"
    )
