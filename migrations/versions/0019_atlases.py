"""Atlases with their versions, layers and entries; vectors; more kinds of work beside the pictures."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")
_TIME = sa.DateTime(timezone=True)
_BEFORE = ("repair", "scrub", "collect")
_CHORES = (*_BEFORE, "expand", "index", "sheet", "map", "scan", "export", "import")


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    _allow_chores(_CHORES)
    op.create_table(
        "atlases",
        sa.Column("no", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("network_id", _ID, nullable=False),
        sa.Column("owner_key_id", _ID, nullable=True),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("wish", sa.Text(), server_default="build", nullable=False),
        sa.Column("retry_after", _ID, nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("visibility IN ('private', 'public')", name="visibility"),
        sa.CheckConstraint("wish IN ('build', 'pause', 'cancel', 'delete')", name="wish"),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name="fk_atlases_network_id"),
        sa.ForeignKeyConstraint(["owner_key_id"], ["api_keys.id"], name="fk_atlases_owner_key_id"),
        sa.PrimaryKeyConstraint("no", name="pk_atlases"),
        sa.UniqueConstraint("id", name="uq_atlases_id"),
    )
    op.create_index("ix_atlases_network", "atlases", ["network_id", "id"])
    op.create_index("ix_atlases_owner", "atlases", ["owner_key_id", "id"])
    op.create_index(
        "uq_atlases_idempotency_key",
        "atlases",
        ["owner_key_id", "idempotency_key"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "atlas_versions",
        sa.Column("atlas_no", sa.Integer(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("request", JSONB(none_as_null=True), nullable=False),
        sa.Column("network_sha256", sa.Text(), nullable=False),
        sa.Column("generator_id", _ID, nullable=True),
        sa.Column("layers", JSONB(none_as_null=True), nullable=True),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", _TIME, nullable=True),
        sa.CheckConstraint("number > 0", name="number"),
        sa.CheckConstraint("(published_at IS NULL) = (layers IS NULL)", name="published"),
        sa.ForeignKeyConstraint(
            ["atlas_no"], ["atlases.no"], name="fk_atlas_versions_atlas_no", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["generator_id"], ["generators.id"], name="fk_atlas_versions_generator_id"),
        sa.PrimaryKeyConstraint("atlas_no", "number", name="pk_atlas_versions"),
    )
    op.create_index(
        "uq_atlas_versions_open",
        "atlas_versions",
        ["atlas_no"],
        unique=True,
        postgresql_where=sa.text("published_at IS NULL"),
    )
    op.create_index("ix_atlas_versions_generator", "atlas_versions", ["generator_id"])
    op.create_table(
        "atlas_layers",
        sa.Column("atlas_no", sa.Integer(), nullable=False),
        sa.Column("layer_no", sa.SmallInteger(), nullable=False),
        sa.Column("layer", _ID, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("units", sa.Text(), nullable=False),
        sa.Column("unit_count", sa.Integer(), nullable=False),
        sa.Column("facets", sa.SmallInteger(), nullable=False),
        sa.Column("making", JSONB(none_as_null=True), nullable=False),
        sa.Column("expanded", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("expanded BETWEEN 0 AND unit_count * facets", name="expanded"),
        sa.ForeignKeyConstraint(
            ["atlas_no"], ["atlases.no"], name="fk_atlas_layers_atlas_no", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("atlas_no", "layer_no", name="pk_atlas_layers"),
        sa.UniqueConstraint("atlas_no", "layer", name="uq_atlas_layers_atlas_no_layer"),
    )
    op.create_table(
        "atlas_entries",
        sa.Column("atlas_no", sa.Integer(), nullable=False),
        sa.Column("layer_no", sa.SmallInteger(), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("facet", sa.SmallInteger(), nullable=False),
        sa.Column("since", sa.SmallInteger(), nullable=False),
        sa.Column("until", sa.SmallInteger(), nullable=True),
        sa.Column("digest", _ID, nullable=False),
        sa.CheckConstraint("until > since", name="versions"),
        sa.ForeignKeyConstraint(["digest"], ["visualizations.digest"], name="fk_atlas_entries_digest"),
        sa.PrimaryKeyConstraint("atlas_no", "layer_no", "unit", "facet", "since", name="pk_atlas_entries"),
    )
    op.create_index("ix_atlas_entries_digest", "atlas_entries", ["digest"])
    op.add_column("jobs", sa.Column("atlas_no", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("layer_no", sa.SmallInteger(), nullable=True))
    op.create_foreign_key(
        "fk_jobs_atlas_no_layer_no",
        "jobs",
        "atlas_layers",
        ["atlas_no", "layer_no"],
        ["atlas_no", "layer_no"],
        ondelete="SET NULL",
    )
    op.create_index(
        "ix_jobs_atlas", "jobs", ["atlas_no", "layer_no"], postgresql_where=sa.text("atlas_no IS NOT NULL")
    )
    op.create_index("ix_jobs_listed", "jobs", ["id"], postgresql_where=sa.text("atlas_no IS NULL"))


def downgrade() -> None:
    op.drop_index("ix_jobs_listed", "jobs")
    op.drop_index("ix_jobs_atlas", "jobs")
    op.drop_constraint("fk_jobs_atlas_no_layer_no", "jobs", type_="foreignkey")
    op.drop_column("jobs", "layer_no")
    op.drop_column("jobs", "atlas_no")
    for table in ("atlas_entries", "atlas_layers", "atlas_versions", "atlases"):
        op.drop_table(table)
    op.execute("DELETE FROM work WHERE kind NOT IN ('repair', 'scrub', 'collect')")
    _allow_chores(_BEFORE)
    op.execute("DROP EXTENSION IF EXISTS vector")


def _allow_chores(names: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_work_kind"), "work", type_="check")
    listed = ", ".join(f"'{name}'" for name in names)
    op.create_check_constraint("kind", "work", f"kind IN ({listed})")
