"""What was measured of networks with generators is kept: looks, and where their objects lie."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "looks",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("network_id", sa.Text(collation="C"), nullable=False),
        sa.Column("generator_id", sa.Text(collation="C"), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_id"], ["networks.id"], name="fk_looks_network_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["generator_id"], ["generators.id"], name="fk_looks_generator_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("name", name="pk_looks"),
    )
    op.create_index("ix_looks_object", "looks", ["object"], postgresql_using="hash")
    op.create_index("ix_looks_network", "looks", ["network_id"])
    op.create_index("ix_looks_generator", "looks", ["generator_id"])


def downgrade() -> None:
    op.drop_table("looks")
