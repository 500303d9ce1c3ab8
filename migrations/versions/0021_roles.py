"""Layers say what they are to their network: stem, block, head, output, or another layer's twin.

Networks that were inspected before are inspected again by the first worker of this release, which tells it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("layers", sa.Column("role", sa.Text(), nullable=True))
    op.add_column("layers", sa.Column("twin_of", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_layers_role"), "layers", "role IN ('stem', 'block', 'head', 'output')"
    )
    op.create_check_constraint(op.f("ck_layers_twin"), "layers", "role IS NULL OR twin_of IS NULL")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_layers_twin"), "layers", type_="check")
    op.drop_constraint(op.f("ck_layers_role"), "layers", type_="check")
    op.drop_column("layers", "twin_of")
    op.drop_column("layers", "role")
