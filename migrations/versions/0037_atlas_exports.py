"""Exports of published versions of atlases that the service itself has written down."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "atlas_exports",
        sa.Column("atlas_no", sa.Integer(), nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("manifest_object", sa.Text(), nullable=True),
        sa.Column("manifest_bytes", sa.Integer(), nullable=True),
        sa.Column("sums_object", sa.Text(), nullable=True),
        sa.Column("sums_bytes", sa.Integer(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("made_at", _TIME, nullable=True),
        sa.CheckConstraint("(made_at IS NULL) = (manifest_object IS NULL)", name="made"),
        sa.ForeignKeyConstraint(
            ["atlas_no"], ["atlases.no"], name="fk_atlas_exports_atlas_no", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("atlas_no", "number", name="pk_atlas_exports"),
    )
    op.create_index(
        "ix_atlas_exports_manifest", "atlas_exports", ["manifest_object"], postgresql_using="hash"
    )
    op.create_index("ix_atlas_exports_sums", "atlas_exports", ["sums_object"], postgresql_using="hash")
    op.create_table(
        "atlas_export_parts",
        sa.Column("atlas_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer_no", sa.SmallInteger(), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("facet", sa.SmallInteger(), nullable=False),
        sa.Column("units_object", sa.Text(), nullable=False),
        sa.Column("units_bytes", sa.Integer(), nullable=False),
        sa.Column("table_object", sa.Text(), nullable=True),
        sa.Column("table_bytes", sa.Integer(), nullable=False),
        sa.Column("sums_object", sa.Text(), nullable=True),
        sa.Column("sums_bytes", sa.Integer(), nullable=False),
        sa.Column("pictures_bytes", sa.BigInteger(), nullable=False),
        sa.Column("layers", JSONB(none_as_null=True), nullable=False),
        sa.Column("recipes", JSONB(none_as_null=True), nullable=False),
        sa.Column("generators", JSONB(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["atlas_no", "number"],
            ["atlas_exports.atlas_no", "atlas_exports.number"],
            name="fk_atlas_export_parts_atlas_no_number",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("atlas_no", "number", "part", name="pk_atlas_export_parts"),
    )
    for name in ("units", "table", "sums"):
        op.create_index(
            f"ix_atlas_export_parts_{name}",
            "atlas_export_parts",
            [f"{name}_object"],
            postgresql_using="hash",
        )


def downgrade() -> None:
    op.drop_table("atlas_export_parts")
    op.drop_table("atlas_exports")
