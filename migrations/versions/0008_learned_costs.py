"""What kinds of work have cost, and what kinds of items a job has: estimates are made of both. Of jobs from
before nothing is estimated."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_Id = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "learned_costs",
        sa.Column("device", _Id, nullable=False),
        sa.Column("batch_key", _Id, nullable=False),
        sa.Column("network_id", _Id, nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("generator_id", _Id, nullable=False),
        sa.Column("technique", sa.Text(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("input_size", sa.Integer(), nullable=True),
        sa.Column("round_items", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("spread", sa.Double(), nullable=False),
        sa.Column("batches", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("device", "batch_key", name="pk_learned_costs"),
        sa.CheckConstraint(
            "seconds > 0 AND spread >= 0 AND batches > 0 AND round_items > 0",
            name=op.f("ck_learned_costs_figures"),
        ),
    )
    op.create_index("ix_learned_costs_network", "learned_costs", ["network_id", "updated_at"])
    op.create_index("ix_learned_costs_updated", "learned_costs", ["updated_at"])
    op.add_column("jobs", sa.Column("parts", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "parts")
    op.drop_table("learned_costs")
