"""Jobs whose candidates an atlas has yet to choose among."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("undecided", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_jobs_undecided", "jobs", ["atlas_no", "id"], postgresql_where=sa.text("undecided"))


def downgrade() -> None:
    op.drop_index("ix_jobs_undecided", "jobs")
    op.drop_column("jobs", "undecided")
