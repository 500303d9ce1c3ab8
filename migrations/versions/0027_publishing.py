"""Publishing an atlas little by little: how far that is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("atlas_versions", sa.Column("publishing", JSONB(none_as_null=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_atlas_versions_publishing"), "atlas_versions", "published_at IS NULL OR publishing IS NULL"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_atlas_versions_publishing"), "atlas_versions")
    op.drop_column("atlas_versions", "publishing")
