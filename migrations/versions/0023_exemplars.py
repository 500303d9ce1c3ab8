"""Scans of real pictures: exemplars of units, their crops, and how strongly pictures excite each unit."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")
_TIME = sa.DateTime(timezone=True)
_JSON = JSONB(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "scans",
        sa.Column("no", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("network_id", _ID, nullable=False),
        sa.Column("network_sha256", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("request", _JSON, nullable=False),
        sa.Column("owner_key_id", _ID, nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("progress", _JSON, server_default="{}", nullable=False),
        sa.Column("error", _JSON, nullable=True),
        sa.Column("checkpoint_object", sa.Text(), nullable=True),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", _TIME, nullable=True),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'canceled')", name="state"),
        sa.CheckConstraint("state <> 'failed' OR error IS NOT NULL", name="failed_has_error"),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)", name="finished"
        ),
        sa.ForeignKeyConstraint(
            ["network_id"], ["networks.id"], name="fk_scans_network_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["owner_key_id"], ["api_keys.id"], name="fk_scans_owner_key_id"),
        sa.PrimaryKeyConstraint("no", name="pk_scans"),
        sa.UniqueConstraint("id", name="uq_scans_id"),
    )
    op.create_index("ix_scans_network", "scans", ["network_id", "no"])
    op.create_index(
        "uq_scans_idempotency_key",
        "scans",
        ["owner_key_id", "idempotency_key"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "unit_statistics",
        sa.Column("scan_no", sa.Integer(), nullable=False),
        sa.Column("layer", _ID, nullable=False),
        sa.Column("unit", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False),
        sa.Column("non_zero", sa.REAL(), nullable=False),
        sa.Column("quantiles", ARRAY(sa.REAL()), nullable=False),
        sa.Column("usual_quantiles", ARRAY(sa.REAL()), nullable=True),
        sa.ForeignKeyConstraint(
            ["scan_no"], ["scans.no"], name="fk_unit_statistics_scan_no", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("scan_no", "layer", "unit", name="pk_unit_statistics"),
    )
    op.create_table(
        "crop_packs",
        sa.Column("scan_no", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["scan_no"], ["scans.no"], name="fk_crop_packs_scan_no", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("scan_no", "number", name="pk_crop_packs"),
    )
    op.create_index("ix_crop_packs_object", "crop_packs", ["object"], postgresql_using="hash")
    op.create_table(
        "exemplars",
        sa.Column("scan_no", sa.Integer(), nullable=False),
        sa.Column("layer", _ID, nullable=False),
        sa.Column("unit", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("activation", sa.REAL(), nullable=False),
        sa.Column("picture", sa.Text(), nullable=False),
        sa.Column("place_y", sa.SmallInteger(), nullable=True),
        sa.Column("place_x", sa.SmallInteger(), nullable=True),
        sa.Column("box", ARRAY(sa.SmallInteger()), nullable=True),
        sa.Column("pack", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["scan_no"], ["scans.no"], name="fk_exemplars_scan_no", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("scan_no", "layer", "unit", "rank", name="pk_exemplars"),
    )


def downgrade() -> None:
    for table in ("exemplars", "crop_packs", "unit_statistics"):
        op.drop_table(table)
    op.execute("DELETE FROM work WHERE kind = 'scan'")
    op.drop_table("scans")
