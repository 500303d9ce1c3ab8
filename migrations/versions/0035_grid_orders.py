"""Orders of the units of large layers, computed once for each version of an atlas."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "grid_orders",
        sa.Column("atlas_no", sa.Integer(), nullable=False),
        sa.Column("layer_no", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("facet", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("ordered_by", _ID, nullable=False),
        sa.Column("basis", _ID, nullable=False),
        sa.Column("progress", _ID, nullable=False),
        sa.Column("units", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["atlas_no"], ["atlases.no"], name="fk_grid_orders_atlas_no", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "atlas_no", "layer_no", "number", "facet", "ordered_by", name="pk_grid_orders"
        ),
    )
    # Not compressed, so that a part of an order is read without the rest.
    op.execute("ALTER TABLE grid_orders ALTER COLUMN units SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_table("grid_orders")
