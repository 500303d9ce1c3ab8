"""Units whose pictures look alike, by the eye of this release: within a layer, a network, or everywhere.

What has few pictures, as almost every layer does, is searched exactly; the rest by the approximate index,
whose scan goes on until it has enough that count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.weights import EYE
from services.base.errors import ImagoError, Invalid, NotFound
from services.catalog.layers import get_unit
from services.catalog.tables import NetworkRow
from services.pictures import visualizations
from services.pictures.best import NO_ACTIVATION
from services.pictures.tables import VisualizationRow
from services.search import indexing
from services.search.tables import EmbeddingRow

EXACT_ROWS = 20_000
"""Where more pictures than this could be meant, the approximate index is asked."""
MOST = 100
_SPARE = 8
_AT_ONCE = 4000
# Strict: in the order of the distance. A wider beam than pgvector's 40: with one of 100 a twentieth of the
# nearest is missed among 100,000 pictures (`make bench-atlas`).
_APPROXIMATE = (
    "SET LOCAL hnsw.iterative_scan = 'strict_order'",
    "SET LOCAL hnsw.ef_search = 400",
    "SET LOCAL hnsw.max_scan_tuples = 40000",
)
_NOTHING = sa.func.abs(VisualizationRow.activation) < NO_ACTIVATION
Among = sa.Select[str] | None
"""The digests that count, None for all."""


class Within(StrEnum):
    """Where neighbours are looked for."""

    LAYER = "layer"
    NETWORK = "network"
    ALL = "all"


class NotIndexed(ImagoError):
    """The picture is there, but no eye has looked at it yet."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        super().__init__(f"The picture {digest} is not indexed yet; a worker does that when it is idle.")


@dataclass(frozen=True)
class Neighbour:
    """A unit by the one of its pictures that is likest. `similarity` is the cosine, 1 for the same picture;
    `current`: whether it is of the network as it is now, and not of an earlier inspection."""

    network: str
    layer: str
    unit: int
    digest: str
    similarity: float
    activation: float
    current: bool


@dataclass(frozen=True)
class Neighbours:
    """The nearest first. `digest` is the picture that the others were compared with; `complete` is false
    while pictures that would count are not indexed yet. `wants_nothing`: that picture has no activation to
    speak of (`NO_ACTIVATION`), so that none is like it, however grey others are too."""

    digest: str
    data: Sequence[Neighbour]
    complete: bool
    wants_nothing: bool = False


def neighbours(
    session: Session,
    network: str,
    layer: str,
    unit: int,
    *,
    within: Within = Within.LAYER,
    digest: str | None = None,
    limit: int = 20,
    among: Among = None,
) -> Neighbours:
    """The units whose pictures are likest the best one of this unit, or the one named by `digest`.

    Raises `NotFound` where there is no such unit or no picture of it, `NotIndexed` where the picture has no
    embedding yet, `Invalid` for a digest of another unit.
    """
    # A picture may be of a layer that the network has no more; its best ones are of those that it has.
    found = get_unit(session, network, layer, unit, or_former=digest is not None)
    digest = digest or best_of(session, network, found.layer, unit)
    vector = vector_of(session, digest, network, found.layer, unit)
    if session.scalar(sa.select(_NOTHING).where(VisualizationRow.digest == digest)):
        return Neighbours(digest, (), complete=True, wants_nothing=True)
    scope = Scope(
        network=None if within == Within.ALL else network,
        layer=found.layer if within == Within.LAYER else None,
    )
    own = (network, found.layer, unit)
    data = nearest(session, vector, scope, limit=limit, leave_out=own, among=among)
    return Neighbours(digest, data, not indexing.lacks(session, scope.network, scope.layer))


@dataclass(frozen=True)
class Scope:
    """Which pictures are compared: those of a layer, of a network (without layer), or all."""

    network: str | None
    layer: str | None

    def of(self, query: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
        """A statement over embeddings, of these only. The eye is spelled out: the index is of one."""
        query = query.where(EmbeddingRow.eye == sa.literal(EYE, literal_execute=True))
        if self.network is not None:
            query = query.where(EmbeddingRow.network_id == self.network)
        return query if self.layer is None else query.where(EmbeddingRow.layer == self.layer)


def nearest(
    session: Session,
    vector: Sequence[float],
    scope: Scope,
    *,
    limit: int,
    leave_out: tuple[str, str, int] | None = None,
    among: Among = None,
) -> Sequence[Neighbour]:
    """The units with the pictures nearest to a vector: as many as asked for where there are so many.

    Of a network or layer only pictures of it as it is now count; of everything, earlier ones do too.
    """
    if not 1 <= limit <= MOST:
        raise Invalid.field("/limit", f"must be between 1 and {MOST}; got {limit}")
    exact = _is_small(session, scope)
    if not exact:
        for setting in _APPROXIMATE:
            session.execute(text(setting))
    asked = limit + _SPARE
    while True:
        rows = session.execute(_candidates(vector, scope, asked, exact, among)).all()
        units = _units(rows, scope, leave_out)
        if len(units) >= limit:
            return units[:limit]
        if len(rows) < asked:
            if exact:
                return units
            exact = True  # the scan gave up before it had enough: few of what it met count
        elif asked >= _AT_ONCE and not exact:
            exact = True
        asked *= 4


def best_of(session: Session, network: str, layer: str, unit: int) -> str:
    """The digest of a unit's best picture. Raises `NotFound`."""
    found = visualizations.best(session, network, layer, unit)
    if found is None:
        raise NotFound("picture", f"{network}/{layer}/{unit}", "Ask for one with POST /v1/jobs.")
    return found.digest


def vector_of(session: Session, digest: str, network: str, layer: str, unit: int) -> Sequence[float]:
    """What the eye makes of a unit's picture. Raises `NotFound`, `Invalid` or `NotIndexed`."""
    row = session.get(EmbeddingRow, (digest, EYE))
    if row is None:
        visualizations.objects_of(session, digest)
        raise NotIndexed(digest)
    if (row.network_id, row.layer, row.unit) != (network, layer, unit):
        raise Invalid.field("/digest", f"is a picture of {row.network_id}/{row.layer}/{row.unit}")
    return row.vector


def _is_small(session: Session, scope: Scope) -> bool:
    some = scope.of(sa.select(EmbeddingRow.unit)).limit(EXACT_ROWS + 1).subquery()
    return session.execute(sa.select(sa.func.count()).select_from(some)).scalar_one() <= EXACT_ROWS


def _candidates(
    vector: Sequence[float], scope: Scope, most: int, exact: bool, among: Among
) -> sa.Select[*tuple[Any, ...]]:
    row = EmbeddingRow
    distance = row.vector.op("<=>", return_type=sa.Double)(
        sa.cast(sa.literal(list(vector), row.vector.type), row.vector.type)
    )
    query = scope.of(sa.select(row.digest, row.network_id, row.layer, row.unit, distance.label("distance")))
    if among is not None:
        query = query.where(row.digest.in_(among))
    if exact:
        # All distances first: the planner must not take the approximate index for the order.
        pool = query.cte("pool").prefix_with("MATERIALIZED", dialect="postgresql")
        # The offset keeps them in order, so that activations are looked up of the nearest alone.
        sorted_ = sa.select(pool).order_by(pool.c.distance, pool.c.digest).offset(0).subquery()
        counted = sa.select(sorted_).where(_wants_something(sorted_.c.digest))
        near = counted.order_by(sorted_.c.distance, sorted_.c.digest).limit(most).subquery()
    else:
        near = query.where(_wants_something(row.digest)).order_by(distance).limit(most).subquery()
    return (
        sa.select(
            near,
            VisualizationRow.activation,
            (VisualizationRow.network_sha256 == NetworkRow.spec_sha256).label("current"),
        )
        .join(VisualizationRow, VisualizationRow.digest == near.c.digest)
        .join(NetworkRow, NetworkRow.id == near.c.network_id)
        .order_by(near.c.distance, near.c.digest)
    )


def _wants_something(digest: sa.SQLColumnExpression[str]) -> sa.ColumnElement[bool]:
    """Whether the picture has an activation to speak of: what wants nothing wants nothing like another
    either. Asked before the limit, as a network may have thousands of such, which all look alike."""
    return ~sa.exists().where(VisualizationRow.digest == digest, _NOTHING)


def _units(rows: Sequence[Any], scope: Scope, leave_out: tuple[str, str, int] | None) -> Sequence[Neighbour]:
    """Each unit once, by its nearest picture. A unit of an earlier inspection is another one."""
    found: dict[tuple[str, str, int, bool], Neighbour] = {}
    for row in rows:
        place = (row.network_id, row.layer, row.unit)
        if place == leave_out or (scope.network is not None and not row.current):
            continue
        neighbour = Neighbour(*place, row.digest, 1 - row.distance, row.activation, row.current)
        found.setdefault((*place, row.current), neighbour)
    return list(found.values())
