"""Looks at networks are made ahead, as chores, and tell how far they are before there is anything to keep."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

_BEFORE = (
    *("repair", "scrub", "collect", "expand", "index", "sheet", "map", "scan", "export", "import"),
    "compare",
)


def upgrade() -> None:
    _allow_chores((*_BEFORE, "look"))
    op.execute("DELETE FROM looks")  # of an earlier way of looking: nobody would find them
    op.alter_column("looks", "object", nullable=True)
    for name in ("seen", "codes"):
        op.add_column("looks", sa.Column(name, sa.Integer(), nullable=True))
    op.add_column("looks", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        "under_way",
        "looks",
        "object IS NOT NULL OR (seen IS NOT NULL AND codes IS NOT NULL AND seen_at IS NOT NULL)",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_looks_under_way"), "looks", type_="check")
    op.execute("DELETE FROM looks WHERE object IS NULL")
    for name in ("seen_at", "codes", "seen"):
        op.drop_column("looks", name)
    op.alter_column("looks", "object", nullable=False)
    op.execute("DELETE FROM work WHERE kind = 'look'")
    _allow_chores(_BEFORE)


def _allow_chores(names: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_work_kind"), "work", type_="check")
    listed = ", ".join(f"'{name}'" for name in names)
    op.create_check_constraint("kind", "work", f"kind IN ({listed})")
