"""Atlases are imported: what goes on, and generators whose file is elsewhere."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_WISHES = "wish IN ('build', 'pause', 'cancel', 'delete'{})"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_atlases_wish"), "atlases", type_="check")
    op.create_check_constraint(op.f("ck_atlases_wish"), "atlases", _WISHES.format(", 'import'"))
    op.add_column("generators", sa.Column("is_here", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.create_check_constraint(
        op.f("ck_generators_default_is_here"), "generators", "is_here OR NOT is_default"
    )
    op.create_table(
        "atlas_imports",
        sa.Column("atlas_no", sa.Integer(), nullable=False),
        sa.Column("manifest", JSONB(), nullable=False),
        sa.Column("received", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "touched_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("received >= 0", name=op.f("ck_atlas_imports_received")),
        sa.ForeignKeyConstraint(
            ["atlas_no"], ["atlases.no"], name="fk_atlas_imports_atlas_no", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("atlas_no", name="pk_atlas_imports"),
    )


def downgrade() -> None:
    op.drop_table("atlas_imports")
    op.drop_constraint(op.f("ck_generators_default_is_here"), "generators", type_="check")
    op.drop_column("generators", "is_here")
    op.execute("UPDATE atlases SET wish = 'delete' WHERE wish = 'import'")
    op.drop_constraint(op.f("ck_atlases_wish"), "atlases", type_="check")
    op.create_check_constraint(op.f("ck_atlases_wish"), "atlases", _WISHES.format(""))
