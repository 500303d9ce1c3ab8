"""Maps of the units of atlases, and which version of an atlas shows which."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "maps",
        sa.Column("name", _ID, nullable=False),
        sa.Column("eye", _ID, nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("fitted", sa.Integer(), nullable=False),
        sa.Column("layers", JSONB(none_as_null=True), nullable=False),
        sa.Column("labels", JSONB(none_as_null=True), nullable=False),
        sa.Column("points_object", sa.Text(), nullable=False),
        sa.Column("points_bytes", sa.Integer(), nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_maps"),
    )
    op.create_index("ix_maps_points", "maps", ["points_object"], postgresql_using="hash")
    op.create_table(
        "atlas_maps",
        sa.Column("atlas_no", sa.Integer(), nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("eye", _ID, nullable=False),
        sa.Column("map", _ID, nullable=False),
        sa.Column("pictures", sa.Integer(), nullable=False),
        sa.Column("unseen", sa.Integer(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("made_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["atlas_no"], ["atlases.no"], name="fk_atlas_maps_atlas_no", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["map"], ["maps.name"], name="fk_atlas_maps_map"),
        sa.PrimaryKeyConstraint("atlas_no", "number", "eye", name="pk_atlas_maps"),
    )
    op.create_index("ix_atlas_maps_map", "atlas_maps", ["map"])


def downgrade() -> None:
    op.drop_table("atlas_maps")
    op.drop_table("maps")
