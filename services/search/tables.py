"""The tables that pictures are searched by: embeddings, what networks say of their pictures, photographs."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.orm import Mapped, mapped_column

from imago_engine.weights import DIMENSIONS, EYE
from services.base.tables import CREATED, Base, Id, Json, one_of
from services.catalog.tables import LayerRow
from services.pictures.tables import VisualizationRow
from services.queue.tables import LeaseRow


def as_text(vector: Sequence[float]) -> str:
    """A vector as PostgreSQL reads it: `[0.5,-0.25]`."""
    return f"[{','.join(map(str, vector))}]"


class HalfVector(sa.types.UserDefinedType[Sequence[float]]):
    """A vector of pgvector's 16-bit numbers."""

    cache_ok = True

    def __init__(self, dimensions: int | None = None) -> None:
        self.dimensions = dimensions

    def get_col_spec(self, **_: Any) -> str:
        """As in `CREATE TABLE`."""
        return "halfvec" if self.dimensions is None else f"halfvec({self.dimensions})"

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[Sequence[float] | None], str | None]:
        """As text."""
        return lambda values: None if values is None else as_text(values)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any]:
        """Numbers again."""
        return lambda text: None if text is None else tuple(map(float, text.strip("[]").split(",")))


ischema_names["halfvec"] = HalfVector
_EXTENSION = sa.DDL("CREATE EXTENSION IF NOT EXISTS vector")  # type: ignore[no-untyped-call]
sa.event.listen(Base.metadata, "before_create", _EXTENSION)


class EmbeddingRow(Base):
    """What an eye makes of a picture that is done; `eye` is its id and version (`imago_engine.weights`).

    `visualizations.eye` names the eye of which a picture has a row here, so that those without are found.
    """

    __tablename__ = "embeddings"
    __table_args__ = (
        # Exact search: all of a layer, or of a network.
        sa.Index("ix_embeddings_unit", "eye", "network_id", "layer", "unit"),
        # Approximate search over everything. Of one eye: whoever ships another makes another index.
        sa.Index(
            "ix_embeddings_near",
            "vector",
            postgresql_using="hnsw",
            postgresql_ops={"vector": "halfvec_cosine_ops"},
            # With pgvector's 16 links a picture a fourteenth of the nearest of a million is missed.
            postgresql_with={"m": 24, "ef_construction": 100},
            postgresql_where=sa.text(f"eye = '{EYE}'"),
        ),
    )

    digest: Mapped[str] = mapped_column(
        Id, sa.ForeignKey(VisualizationRow.digest, ondelete="CASCADE"), primary_key=True
    )
    eye: Mapped[str] = mapped_column(Id, primary_key=True)
    network_id: Mapped[str] = mapped_column(Id)
    layer: Mapped[str] = mapped_column(Id)
    unit: Mapped[int]
    vector: Mapped[Sequence[float]] = mapped_column(HalfVector(DIMENSIONS))


class PictureLabelRow(Base):
    """What the network that a picture explains says of it: a class, by its name, or its number as text where
    no names are known. `rank` is 1 for the most probable."""

    __tablename__ = "picture_labels"
    __table_args__ = (
        # A word's pictures, the most probable first, without a look at the table.
        sa.Index(
            "ix_picture_labels_label",
            "label",
            sa.text("probability DESC"),
            "digest",
            postgresql_include=["network_id", "layer", "unit", "rank"],
        ),
    )

    digest: Mapped[str] = mapped_column(
        Id, sa.ForeignKey(VisualizationRow.digest, ondelete="CASCADE"), primary_key=True
    )
    rank: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)
    label: Mapped[str] = mapped_column(Id)
    probability: Mapped[float]
    network_id: Mapped[str] = mapped_column(Id)
    layer: Mapped[str] = mapped_column(Id)
    unit: Mapped[int]


class ExcitationRow(Base):
    """A photograph, and the units of a layer that it excites once a worker has looked. Kept until
    `expires_at`; the photograph only until it was looked at."""

    __tablename__ = "excitations"
    __table_args__ = (
        one_of("state", ("queued", "done", "failed")),
        sa.ForeignKeyConstraint(
            ["network_id", "layer"], [LayerRow.network_id, LayerRow.name], ondelete="CASCADE"
        ),
        sa.CheckConstraint("(state = 'queued') = (photograph IS NOT NULL)", name="photograph"),
        sa.CheckConstraint("(state = 'done') = (result IS NOT NULL)", name="result"),
        sa.CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name="error"),
        sa.CheckConstraint("state = 'queued' OR lease_id IS NULL", name="lease"),
        sa.Index("ix_excitations_due", "id", postgresql_where=sa.text("state = 'queued'")),
        sa.Index("ix_excitations_lease", "lease_id", postgresql_where=sa.text("lease_id IS NOT NULL")),
        sa.Index("ix_excitations_expires", "expires_at"),
        sa.Index("ix_excitations_layer", "network_id", "layer"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    network_id: Mapped[str] = mapped_column(Id)
    layer: Mapped[str] = mapped_column(Id)
    photograph: Mapped[bytes | None]
    state: Mapped[str] = mapped_column(server_default="queued")
    lease_id: Mapped[int | None] = mapped_column(sa.BigInteger, sa.ForeignKey(LeaseRow.id))
    crash_count: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    result: Mapped[Json | None]
    error: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    expires_at: Mapped[datetime]
