"""Contact sheets and posters: their tiles, and which version of an atlas shows which."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "sheets",
        sa.Column("name", _ID, nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("strips", JSONB(none_as_null=True), nullable=False),
        sa.Column("plan_object", sa.Text(), nullable=True),
        sa.Column("picture_object", sa.Text(), nullable=True),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("made_at", _TIME, nullable=True),
        sa.CheckConstraint("made_at IS NULL OR picture_object IS NOT NULL", name="made"),
        sa.CheckConstraint("made_at IS NOT NULL OR plan_object IS NOT NULL", name="planned"),
        sa.PrimaryKeyConstraint("name", name="pk_sheets"),
    )
    op.create_index("ix_sheets_plan", "sheets", ["plan_object"], postgresql_using="hash")
    op.create_index("ix_sheets_picture", "sheets", ["picture_object"], postgresql_using="hash")
    op.create_table(
        "sheet_tiles",
        sa.Column("sheet", _ID, nullable=False),
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("col", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["sheet"], ["sheets.name"], name="fk_sheet_tiles_sheet", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sheet", "level", "col", "row", name="pk_sheet_tiles"),
    )
    op.create_index("ix_sheet_tiles_object", "sheet_tiles", ["object"], postgresql_using="hash")
    op.create_table(
        "atlas_sheets",
        sa.Column("atlas_no", sa.Integer(), nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("layer_no", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("sheet", _ID, nullable=True),
        sa.Column("making", _ID, nullable=True),
        sa.Column("pictures", sa.Integer(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["atlas_no"], ["atlases.no"], name="fk_atlas_sheets_atlas_no", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["sheet"], ["sheets.name"], name="fk_atlas_sheets_sheet"),
        sa.ForeignKeyConstraint(["making"], ["sheets.name"], name="fk_atlas_sheets_making"),
        sa.PrimaryKeyConstraint("atlas_no", "number", "layer_no", name="pk_atlas_sheets"),
    )
    op.create_index("ix_atlas_sheets_sheet", "atlas_sheets", ["sheet"])
    op.create_index("ix_atlas_sheets_making", "atlas_sheets", ["making"])


def downgrade() -> None:
    op.drop_table("atlas_sheets")
    op.drop_table("sheet_tiles")
    op.drop_table("sheets")
