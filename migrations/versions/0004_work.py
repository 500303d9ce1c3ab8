"""Work that keeps the store whole: what was found lost, and how often."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("work_fences")))
    op.create_table(
        "work",
        sa.Column("kind", _ID, nullable=False),
        sa.Column("subject", _ID, nullable=False),
        sa.Column("payload", postgresql.JSONB(none_as_null=True), server_default="{}", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("crash_count", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("given_up", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("error", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('repair', 'scrub', 'collect')", name=op.f("ck_work_kind")),
        sa.CheckConstraint("(worker_id IS NULL) = (expires_at IS NULL)", name=op.f("ck_work_held")),
        sa.CheckConstraint("NOT given_up OR error IS NOT NULL", name=op.f("ck_work_given_up_has_error")),
        sa.PrimaryKeyConstraint("kind", "subject", name=op.f("pk_work")),
    )
    op.create_index(
        "ix_work_due", "work", ["kind", "not_before"], postgresql_where=sa.text("worker_id IS NULL")
    )
    op.create_index("ix_work_held", "work", ["expires_at"], postgresql_where=sa.text("worker_id IS NOT NULL"))
    op.create_index("ix_work_fence", "work", ["fence"], postgresql_where=sa.text("worker_id IS NOT NULL"))
    op.create_table(
        "tallies",
        sa.Column("name", _ID, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tallies")),
    )


def downgrade() -> None:
    op.drop_table("tallies")
    op.drop_table("work")
    op.execute(sa.schema.DropSequence(sa.Sequence("work_fences")))
