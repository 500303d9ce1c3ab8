"""Who registered a network or a generator, so that others cannot change it. Rows from before have no owner:
admins alone may change them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = ("networks", "generators")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("owner_key_id", sa.Text(collation="C"), nullable=True))
        op.create_foreign_key(f"fk_{table}_owner_key_id", table, "api_keys", ["owner_key_id"], ["id"])
    # A generator that was trained here is its training's.
    op.execute(
        "UPDATE generators SET owner_key_id = trainings.owner_key_id FROM trainings"
        " WHERE trainings.generator_id = generators.id"
    )


def downgrade() -> None:
    for table in _TABLES:
        op.drop_constraint(f"fk_{table}_owner_key_id", table, type_="foreignkey")
        op.drop_column(table, "owner_key_id")
