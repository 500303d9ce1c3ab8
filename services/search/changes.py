"""What changed most between two networks with like layers, such as two checkpoints: units by how unlike their
pictures are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from imago_engine.weights import EYE
from services.base.errors import Invalid
from services.base.paging import Key, Keyset, Page
from services.base.states import State
from services.catalog.layers import Layer, current_sha256, get_layer
from services.pictures.best import BEST_FIRST
from services.pictures.tables import VisualizationRow
from services.search import indexing
from services.search.tables import EmbeddingRow

BY_CHANGE = Keyset("changes", (float, int))
"""Lists whose keys are a distance and a unit."""


@dataclass(frozen=True)
class Change:
    """A unit of both networks: `distance` is 1 - the cosine of what the eye makes of its best pictures."""

    unit: int
    distance: float
    digest: str
    other_digest: str
    activation: float
    other_activation: float


@dataclass(frozen=True)
class Changes:
    """The most changed first. `complete` is false while pictures of either layer are not indexed yet."""

    page: Page[Change]
    complete: bool


def changes(
    session: Session,
    network: str,
    layer: str,
    other: str,
    *,
    other_layer: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Changes:
    """Units of a layer by how far their pictures are from those of the same units of another network.

    Units that have no indexed picture in both are left out. Raises `NotFound`, or `Invalid` where the layers
    have not equally many units, or for a cursor or limit.
    """
    here, there = get_layer(session, network, layer), get_layer(session, other, other_layer or layer)
    if here.units != there.units:
        raise Invalid.field(
            "/other",
            f"has {there.units} units in {there.name}, and {network} has {here.units} in {here.name}: "
            "units are compared by their numbers",
        )
    pairs = paired(_best(here).subquery(), _best(there).subquery()).subquery()

    def read(after: Key | None, most: int) -> Sequence[Change]:
        query = most_changed_first(sa.select(pairs), pairs.c.distance, pairs.c.unit, after, most)
        return [Change(*row) for row in session.execute(query)]

    page = BY_CHANGE.page(cursor, limit, read, lambda change: [change.distance, change.unit])
    lacking = any(indexing.lacks(session, found.network, found.name) for found in (here, there))
    return Changes(page, not lacking)


def paired(ours: sa.Subquery, theirs: sa.Subquery, *, full: bool = False) -> sa.Select[*tuple[Any, ...]]:
    """A statement that pairs pictures of the same unit: unit, distance, both digests, both activations.

    Each side has one picture a unit: unit, digest, vector, activation. With `full`, also units that only one
    of them has; the distance is NULL where a vector is.
    """
    distance = ours.c.vector.op("<=>", return_type=sa.Double)(theirs.c.vector)
    return sa.select(
        sa.func.coalesce(ours.c.unit, theirs.c.unit).label("unit"),
        distance.label("distance"),
        ours.c.digest,
        theirs.c.digest.label("other_digest"),
        ours.c.activation,
        theirs.c.activation.label("other_activation"),
    ).join(theirs, theirs.c.unit == ours.c.unit, full=full)


def most_changed_first(
    query: sa.Select[*tuple[Any, ...]],
    distance: sa.SQLColumnExpression[float],
    unit: sa.SQLColumnExpression[int],
    after: Key | None,
    most: int,
) -> sa.Select[*tuple[Any, ...]]:
    """So many rows that follow a key of `BY_CHANGE`, from the first for None."""
    query = query.order_by(distance.desc(), unit).limit(most)
    if after is None:
        return query
    reached, last = after
    # The first condition alone is what an index is entered by.
    return query.where(distance <= reached, sa.or_(distance < reached, unit > last))


def _best(layer: Layer) -> sa.Select[*tuple[Any, ...]]:
    """Of each unit of a layer its best picture that is indexed, at its usual place if there is any.

    Which one that is stands in the index `ix_visualizations_best` alone, in this order: whatever a layer has
    of other pictures, and the atlas of other layers, no row of a picture is read.
    """
    picture, row = VisualizationRow, EmbeddingRow
    chosen = (
        sa.select(picture.unit, picture.digest, picture.activation)
        .where(picture.network_id == layer.network, picture.layer == layer.name)
        # Spelled out, so that the planner sees that the partial index has what is looked for.
        .where(picture.state == sa.literal(State.DONE.value, literal_execute=True), picture.eye == EYE)
        .where(picture.network_sha256 == current_sha256(layer.network))
        .ext(distinct_on(picture.unit))
        .order_by(picture.unit, *BEST_FIRST)
    )
    vectors = sa.select(row.digest, row.vector).where(
        row.eye == EYE, row.network_id == layer.network, row.layer == layer.name
    )
    # Each by itself: taken for few, the ones would be looked up one by one in the table of all the others.
    best, seen = (
        query.cte().prefix_with("MATERIALIZED", dialect="postgresql") for query in (chosen, vectors)
    )
    return sa.select(best.c.unit, best.c.digest, seen.c.vector, best.c.activation).join(
        seen, seen.c.digest == best.c.digest
    )
