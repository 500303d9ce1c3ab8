"""Unused objects are removed from the store: which ones, and whether anything points to an object."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OBJECTS = (
    ("visualizations", "image_object"),
    ("visualizations", "crop_object"),
    ("visualizations", "code_object"),
    ("visualizations", "trace_object"),
    ("training_samples", "image_object"),
)


def upgrade() -> None:
    op.create_table(
        "collected",
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_collected")),
    )
    op.create_index(
        "ix_collected_removed",
        "collected",
        ["removed_at"],
        postgresql_where=sa.text("removed_at IS NOT NULL"),
    )
    for table, column in _OBJECTS:
        op.create_index(f"ix_{table}_{column}", table, [column], postgresql_using="hash")


def downgrade() -> None:
    for table, column in _OBJECTS:
        op.drop_index(f"ix_{table}_{column}", table_name=table)
    op.drop_table("collected")
