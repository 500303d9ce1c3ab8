"""Browser sessions, and the jobs of a key by age."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "browser_sessions",
        sa.Column("token_sha256", _ID, nullable=False),
        sa.Column("key_id", _ID, nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.id"], name="fk_browser_sessions_key_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_sha256", name="pk_browser_sessions"),
    )
    op.create_index("ix_browser_sessions_key_id_created_at", "browser_sessions", ["key_id", "created_at"])
    op.create_index("ix_browser_sessions_expires_at", "browser_sessions", ["expires_at"])
    op.create_index(
        "ix_jobs_owner", "jobs", ["owner_key_id", "id"], postgresql_where=sa.text("atlas_no IS NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_owner", "jobs")
    op.drop_table("browser_sessions")
