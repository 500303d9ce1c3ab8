"""Search: embeddings of pictures, what networks say of their pictures, and what photographs excite."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")
_TIME = sa.DateTime(timezone=True)
_EYE = "lite0-1"


class _HalfVector(sa.types.UserDefinedType[object]):
    def get_col_spec(self, **_: Any) -> str:
        return "halfvec(128)"


def upgrade() -> None:
    op.add_column("visualizations", sa.Column("eye", _ID, nullable=True))
    op.create_index(
        "ix_visualizations_unseen",
        "visualizations",
        ["network_id", "layer", "unit", "digest"],
        postgresql_where=sa.text(f"state = 'done' AND eye IS DISTINCT FROM '{_EYE}'"),
    )
    op.create_table(
        "embeddings",
        sa.Column("digest", _ID, nullable=False),
        sa.Column("eye", _ID, nullable=False),
        sa.Column("network_id", _ID, nullable=False),
        sa.Column("layer", _ID, nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("vector", _HalfVector(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["visualizations.digest"], name="fk_embeddings_digest", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", "eye", name="pk_embeddings"),
    )
    op.create_index("ix_embeddings_unit", "embeddings", ["eye", "network_id", "layer", "unit"])
    op.create_index(
        "ix_embeddings_near",
        "embeddings",
        ["vector"],
        postgresql_using="hnsw",
        postgresql_ops={"vector": "halfvec_cosine_ops"},
        postgresql_where=sa.text(f"eye = '{_EYE}'"),
    )
    op.create_table(
        "picture_labels",
        sa.Column("digest", _ID, nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("label", _ID, nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("network_id", _ID, nullable=False),
        sa.Column("layer", _ID, nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["visualizations.digest"], name="fk_picture_labels_digest", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", "rank", name="pk_picture_labels"),
    )
    op.create_index(
        "ix_picture_labels_label",
        "picture_labels",
        ["label", sa.text("probability DESC"), "digest"],
        postgresql_include=["network_id", "layer", "unit", "rank"],
    )
    op.create_table(
        "excitations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("network_id", _ID, nullable=False),
        sa.Column("layer", _ID, nullable=False),
        sa.Column("photograph", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("lease_id", sa.BigInteger(), nullable=True),
        sa.Column("crash_count", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("result", JSONB(), nullable=True),
        sa.Column("error", JSONB(), nullable=True),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.CheckConstraint("state IN ('queued', 'done', 'failed')", name="state"),
        sa.CheckConstraint("(state = 'queued') = (photograph IS NOT NULL)", name="photograph"),
        sa.CheckConstraint("(state = 'done') = (result IS NOT NULL)", name="result"),
        sa.CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name="error"),
        sa.CheckConstraint("state = 'queued' OR lease_id IS NULL", name="lease"),
        sa.ForeignKeyConstraint(
            ["network_id", "layer"],
            ["layers.network_id", "layers.name"],
            name="fk_excitations_network_id_layer",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_excitations_lease_id"),
        sa.PrimaryKeyConstraint("id", name="pk_excitations"),
    )
    op.create_index("ix_excitations_due", "excitations", ["id"], postgresql_where=sa.text("state = 'queued'"))
    op.create_index(
        "ix_excitations_lease", "excitations", ["lease_id"], postgresql_where=sa.text("lease_id IS NOT NULL")
    )
    op.create_index("ix_excitations_expires", "excitations", ["expires_at"])
    op.create_index("ix_excitations_layer", "excitations", ["network_id", "layer"])


def downgrade() -> None:
    op.drop_table("excitations")
    op.drop_table("picture_labels")
    op.drop_table("embeddings")
    op.drop_index("ix_visualizations_unseen", "visualizations")
    op.drop_column("visualizations", "eye")
