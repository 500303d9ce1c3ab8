"""The first schema: catalog, visualizations, leases, jobs, keys, workers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("queue_turns")))
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_table(
        "generators",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("weights_sha256", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("code_shape", postgresql.JSONB(), nullable=False),
        sa.Column("image_size", sa.Integer(), nullable=False),
        sa.Column("encoder", sa.Text(), nullable=False),
        sa.Column("info", postgresql.JSONB(), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_generators"),
        sa.UniqueConstraint("weights_sha256", name="uq_generators_weights_sha256"),
    )
    op.create_index(
        "uq_generators_default",
        "generators",
        ["is_default"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "leases",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Integer(), server_default="0", nullable=False),
        sa.Column("steps", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint("outcome IN ('finished', 'released', 'expired')", name=op.f("ck_leases_outcome")),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (outcome IS NULL)", name=op.f("ck_leases_ended_has_outcome")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
    )
    op.create_index(
        "ix_leases_ended",
        "leases",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_index(
        "ix_leases_open", "leases", ["expires_at"], unique=False, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_table(
        "networks",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("weights", sa.Text(), nullable=True),
        sa.Column("classes", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("weights_sha256", sa.Text(), nullable=True),
        sa.Column("preprocessing", postgresql.JSONB(), nullable=True),
        sa.Column("labels", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("inspection_tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("inspection_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("inspected_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "source IN ('efficientnet-lite', 'torchvision', 'timm', 'file')", name=op.f("ck_networks_source")
        ),
        sa.CheckConstraint(
            "state <> 'failed' OR error IS NOT NULL", name=op.f("ck_networks_failed_has_error")
        ),
        sa.CheckConstraint(
            "state <> 'ready' OR weights_sha256 IS NOT NULL", name=op.f("ck_networks_ready_has_weights")
        ),
        sa.CheckConstraint("state IN ('pending', 'ready', 'failed')", name=op.f("ck_networks_state")),
        sa.PrimaryKeyConstraint("id", name="pk_networks"),
    )
    op.create_table(
        "recipes",
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("technique", sa.Text(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_recipes"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('running', 'stopped')", name=op.f("ck_workers_state")),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("owner_key_id", sa.Text(collation="C"), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("cached", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unreachable", sa.Integer(), server_default="0", nullable=False),
        sa.Column("canceled", sa.Integer(), server_default="0", nullable=False),
        sa.Column("errors", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("rate", sa.Double(), nullable=True),
        sa.Column("rate_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_finished"),
        ),
        sa.CheckConstraint("lane IN ('interactive', 'bulk')", name=op.f("ck_jobs_lane")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'canceling', 'succeeded', 'failed', 'canceled')",
            name=op.f("ck_jobs_state"),
        ),
        sa.CheckConstraint("least(done, failed, unreachable, canceled) >= 0", name=op.f("ck_jobs_counts")),
        sa.CheckConstraint(
            "CASE WHEN state IN ('queued', 'running') THEN done + failed + unreachable + canceled <= total"
            " ELSE done + failed + unreachable + canceled = total END",
            name=op.f("ck_jobs_ended_counts"),
        ),
        sa.CheckConstraint("total > 0 AND cached BETWEEN 0 AND total", name=op.f("ck_jobs_total")),
        sa.ForeignKeyConstraint(["owner_key_id"], ["api_keys.id"], name="fk_jobs_owner_key_id"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index(
        "ix_jobs_open",
        "jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running', 'canceling')"),
    )
    op.create_index(
        "uq_jobs_idempotency_key",
        "jobs",
        ["owner_key_id", "idempotency_key"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "layers",
        sa.Column("network_id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("receptive_field", sa.Integer(), nullable=True),
        sa.Column("stride", sa.Integer(), nullable=True),
        sa.CheckConstraint("(height IS NULL) = (width IS NULL)", name=op.f("ck_layers_spatial")),
        sa.CheckConstraint("units > 0", name=op.f("ck_layers_units")),
        sa.ForeignKeyConstraint(
            ["network_id"], ["networks.id"], name="fk_layers_network_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("network_id", "name", name="pk_layers"),
    )
    op.create_table(
        "visualizations",
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("network_id", sa.Text(collation="C"), nullable=False),
        sa.Column("layer", sa.Text(collation="C"), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("position_y", sa.Integer(), nullable=True),
        sa.Column("position_x", sa.Integer(), nullable=True),
        sa.Column("generator_id", sa.Text(collation="C"), nullable=False),
        sa.Column("recipe_digest", sa.Text(collation="C"), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("batch_key", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("queue_order", sa.BigInteger(), nullable=False),
        sa.Column("lease_id", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("crash_count", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("activation", sa.Double(), nullable=True),
        sa.Column("predictions", postgresql.JSONB(), nullable=True),
        sa.Column("image_object", sa.Text(), nullable=True),
        sa.Column("crop_object", sa.Text(), nullable=True),
        sa.Column("code_object", sa.Text(), nullable=True),
        sa.Column("trace_object", sa.Text(), nullable=True),
        sa.Column("image_bytes", sa.Integer(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("crop_box", postgresql.JSONB(), nullable=True),
        sa.Column("provenance", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('done', 'failed', 'unreachable', 'canceled'))",
            name=op.f("ck_visualizations_finished"),
        ),
        sa.CheckConstraint(
            "CASE state WHEN 'leased' THEN lease_id IS NOT NULL"
            " WHEN 'canceled' THEN true ELSE lease_id IS NULL END",
            name=op.f("ck_visualizations_lease"),
        ),
        sa.CheckConstraint("lane IN ('interactive', 'bulk')", name=op.f("ck_visualizations_lane")),
        sa.CheckConstraint(
            "state <> 'done' OR image_object IS NOT NULL", name=op.f("ck_visualizations_done_has_image")
        ),
        sa.CheckConstraint(
            "state <> 'failed' OR error IS NOT NULL", name=op.f("ck_visualizations_failed_has_error")
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'leased', 'done', 'failed', 'unreachable', 'canceled')",
            name=op.f("ck_visualizations_state"),
        ),
        sa.CheckConstraint(
            "(position_y IS NULL) = (position_x IS NULL)", name=op.f("ck_visualizations_position")
        ),
        sa.CheckConstraint("length(digest) = 64", name=op.f("ck_visualizations_digest")),
        sa.ForeignKeyConstraint(["generator_id"], ["generators.id"], name="fk_visualizations_generator_id"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_visualizations_lease_id"),
        sa.ForeignKeyConstraint(
            ["network_id", "layer"],
            ["layers.network_id", "layers.name"],
            name="fk_visualizations_network_id_layer",
        ),
        sa.ForeignKeyConstraint(
            ["recipe_digest"], ["recipes.digest"], name="fk_visualizations_recipe_digest"
        ),
        sa.PrimaryKeyConstraint("digest", name="pk_visualizations"),
    )
    op.create_index(
        "ix_visualizations_batch",
        "visualizations",
        ["lane", "batch_key", "queue_order"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_visualizations_lease",
        "visualizations",
        ["lease_id"],
        unique=False,
        postgresql_where=sa.text("lease_id IS NOT NULL"),
    )
    op.create_index(
        "ix_visualizations_turn",
        "visualizations",
        ["lane", "queue_order"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_visualizations_unit", "visualizations", ["network_id", "layer", "unit", "digest"], unique=False
    )
    op.create_index(
        "ix_visualizations_without_picture",
        "visualizations",
        ["network_id", "layer", "unit", "digest"],
        unique=False,
        postgresql_where=sa.text("state IN ('failed', 'unreachable', 'canceled')"),
    )
    op.create_table(
        "job_visualizations",
        sa.Column("job_id", sa.Text(collation="C"), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["visualizations.digest"], name="fk_job_visualizations_digest"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_job_visualizations_job_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "ordinal", name="pk_job_visualizations"),
        sa.UniqueConstraint("digest", "job_id", name="uq_job_visualizations_digest_job_id"),
    )
    # A queue in a table leaves a dead row for each step that an item takes. The claim walks over them until
    # they are vacuumed, so that is done after a fixed number of them, not after a share of a growing table.
    op.execute(
        "ALTER TABLE visualizations SET (autovacuum_vacuum_scale_factor = 0,"
        " autovacuum_vacuum_threshold = 20000, autovacuum_analyze_scale_factor = 0.02,"
        " autovacuum_vacuum_cost_delay = 0)"
    )


def downgrade() -> None:
    op.drop_table("job_visualizations")
    op.drop_table("visualizations")
    op.drop_table("layers")
    op.drop_table("jobs")
    op.drop_table("workers")
    op.drop_table("recipes")
    op.drop_table("networks")
    op.drop_table("leases")
    op.drop_table("generators")
    op.drop_table("api_keys")
    op.execute(sa.schema.DropSequence(sa.Sequence("queue_turns")))
