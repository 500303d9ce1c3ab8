"""An index of jobs by their state, for lists of those in a rare one."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_jobs_state", "jobs", ["state", "id"], postgresql_where=sa.text("atlas_no IS NULL"))


def downgrade() -> None:
    op.drop_index("ix_jobs_state", "jobs")
