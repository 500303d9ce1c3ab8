"""Trainings of generators; and generators lie in the store, by their hash."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("generators", "location")
    op.create_table(
        "trainings",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("owner_key_id", sa.Text(collation="C"), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("crashes", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("deaths", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("progress", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("checkpoint_object", sa.Text(), nullable=True),
        sa.Column("log_object", sa.Text(), nullable=True),
        sa.Column("card_object", sa.Text(), nullable=True),
        sa.Column("generator_id", sa.Text(collation="C"), nullable=True),
        sa.Column("cleared", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'canceling', 'succeeded', 'failed', 'canceled')",
            name=op.f("ck_trainings_state"),
        ),
        sa.CheckConstraint(
            "(state IN ('running', 'canceling')) = (worker_id IS NOT NULL)"
            " AND (worker_id IS NULL) = (expires_at IS NULL)",
            name=op.f("ck_trainings_held"),
        ),
        sa.CheckConstraint(
            "state <> 'succeeded' OR generator_id IS NOT NULL",
            name=op.f("ck_trainings_succeeded_has_generator"),
        ),
        sa.CheckConstraint(
            "state <> 'failed' OR error IS NOT NULL", name=op.f("ck_trainings_failed_has_error")
        ),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_trainings_finished"),
        ),
        sa.ForeignKeyConstraint(["owner_key_id"], ["api_keys.id"], name="fk_trainings_owner_key_id"),
        sa.ForeignKeyConstraint(["generator_id"], ["generators.id"], name="fk_trainings_generator_id"),
        sa.PrimaryKeyConstraint("id", name="pk_trainings"),
    )
    op.create_index(
        "uq_trainings_name",
        "trainings",
        ["name"],
        unique=True,
        postgresql_where=sa.text("state IN ('queued', 'running', 'canceling')"),
    )
    op.create_index(
        "uq_trainings_idempotency_key",
        "trainings",
        ["owner_key_id", "idempotency_key"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "ix_trainings_open",
        "trainings",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running', 'canceling') OR NOT cleared"),
    )
    op.create_table(
        "training_samples",
        sa.Column("training_id", sa.Text(collation="C"), nullable=False),
        sa.Column("pictures", sa.BigInteger(), nullable=False),
        sa.Column("held_out", postgresql.JSONB(), nullable=False),
        sa.Column("image_object", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["training_id"], ["trainings.id"], name="fk_training_samples_training_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("training_id", "pictures", name="pk_training_samples"),
    )


def downgrade() -> None:
    op.drop_table("training_samples")
    op.drop_table("trainings")
    # The files lie in the store; where the older code would look for them is not known any more.
    op.add_column("generators", sa.Column("location", sa.Text(), server_default="shipped", nullable=False))
    op.alter_column("generators", "location", server_default=None)
