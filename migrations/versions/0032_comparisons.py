"""Comparisons of atlases, and an index of units that no scanned picture excites."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")
_TIME = sa.DateTime(timezone=True)
_BEFORE = ("repair", "scrub", "collect", "expand", "index", "sheet", "map", "scan", "export", "import")


def upgrade() -> None:
    _allow_chores((*_BEFORE, "compare"))
    op.create_table(
        "comparisons",
        sa.Column("no", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("a_no", sa.Integer(), nullable=False),
        sa.Column("a_number", sa.SmallInteger(), nullable=False),
        sa.Column("b_no", sa.Integer(), nullable=False),
        sa.Column("b_number", sa.SmallInteger(), nullable=False),
        sa.Column("basis", _ID, nullable=False),
        sa.Column("lacking", sa.Boolean(), nullable=False),
        sa.Column("unmatched", JSONB(none_as_null=True), nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("asked_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("made_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["a_no"], ["atlases.no"], name="fk_comparisons_a_no"),
        sa.ForeignKeyConstraint(["b_no"], ["atlases.no"], name="fk_comparisons_b_no"),
        sa.PrimaryKeyConstraint("no", name="pk_comparisons"),
    )
    pair = ["a_no", "a_number", "b_no", "b_number"]
    op.create_index("ix_comparisons_pair", "comparisons", [*pair, "no"])
    op.create_index("ix_comparisons_b", "comparisons", ["b_no"])
    op.create_index("ix_comparisons_asked", "comparisons", ["asked_at"])
    op.create_index(
        "uq_comparisons_making",
        "comparisons",
        pair,
        unique=True,
        postgresql_where=sa.text("made_at IS NULL"),
    )
    op.create_table(
        "compared_layers",
        sa.Column("comparison", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("layer", _ID, nullable=False),
        sa.Column("other_layer", _ID, nullable=False),
        sa.Column("a_layer_no", sa.SmallInteger(), nullable=False),
        sa.Column("b_layer_no", sa.SmallInteger(), nullable=False),
        sa.Column("unit_count", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), server_default="0", nullable=False),
        sa.Column("only_a", sa.Integer(), server_default="0", nullable=False),
        sa.Column("only_b", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_indexed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("figures", JSONB(none_as_null=True), nullable=True),
        sa.Column("sheet_object", sa.Text(), nullable=True),
        sa.CheckConstraint("seen BETWEEN 0 AND unit_count", name="seen"),
        sa.ForeignKeyConstraint(
            ["comparison"], ["comparisons.no"], name="fk_compared_layers_comparison", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("comparison", "ordinal", name="pk_compared_layers"),
    )
    op.create_index("ix_compared_layers_sheet", "compared_layers", ["sheet_object"], postgresql_using="hash")
    op.create_table(
        "compared_units",
        sa.Column("comparison", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("unit", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("distance", sa.Double(), nullable=False),
        sa.Column("a_digest", sa.LargeBinary(), nullable=False),
        sa.Column("b_digest", sa.LargeBinary(), nullable=False),
        sa.Column("a_activation", sa.Double(), nullable=True),
        sa.Column("b_activation", sa.Double(), nullable=True),
        sa.Column("a_percentile", sa.REAL(), nullable=True),
        sa.Column("b_percentile", sa.REAL(), nullable=True),
        sa.Column("same_label", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("comparison", "layer", "unit", name="pk_compared_units"),
    )
    op.create_index(
        "ix_compared_units_most", "compared_units", ["comparison", "layer", sa.text("distance DESC"), "unit"]
    )
    op.create_index(
        "ix_unit_statistics_dead",
        "unit_statistics",
        ["scan_no", "layer", "unit"],
        postgresql_where=sa.text("non_zero = 0"),
    )


def downgrade() -> None:
    op.drop_index("ix_unit_statistics_dead", "unit_statistics")
    for table in ("compared_units", "compared_layers", "comparisons"):
        op.drop_table(table)
    op.execute("DELETE FROM work WHERE kind = 'compare'")
    _allow_chores(_BEFORE)


def _allow_chores(names: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_work_kind"), "work", type_="check")
    listed = ", ".join(f"'{name}'" for name in names)
    op.create_check_constraint("kind", "work", f"kind IN ({listed})")
