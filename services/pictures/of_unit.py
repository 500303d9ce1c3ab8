"""The pictures of one unit, the best first: however many there are, the best is among those that are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.base.states import State
from services.catalog.layers import current_sha256
from services.pictures.best import BEST_FIRST
from services.pictures.tables import VisualizationRow
from services.pictures.visualizations import Visualization, of_digests


@dataclass(frozen=True)
class OfSeed:
    """A picture by a recipe, of which there are several with other seeds."""

    seed: int
    digest: str
    state: State
    activation: float | None
    error: Mapping[str, Any] | None


def best_of_unit(
    session: Session, network: str, layer: str, unit: int, *, limit: int
) -> dict[str, Visualization]:
    """Those of a unit by their digests, `limit` at most: of the network as it is now before those of earlier
    inspections, done ones before others, by the layer's own name."""
    row = VisualizationRow
    query = (
        sa.select(row.digest)
        .where(row.network_id == network, row.layer == layer, row.unit == unit)
        .order_by(
            (row.network_sha256 == current_sha256(network)).desc().nulls_last(),
            (row.state == State.DONE).desc(),
            *BEST_FIRST,
        )
        .limit(limit)
    )
    return of_digests(session, session.scalars(query).all())


def of_seeds(
    session: Session, of: Visualization, *, limit: int, wanted: int | None = None
) -> tuple[Sequence[OfSeed], int]:
    """This picture and those by the same recipe with other seeds, in the order of their seeds, and how many
    there are in all. Of more than `limit` the best are there, with that of the seed `wanted`."""
    row, this = VisualizationRow, session.get_one(VisualizationRow, of.digest)
    same = (row.position_y, row.position_x, row.token, row.recipe_digest, row.engine, row.generator_id)
    query = (
        sa.select(
            row.seed, row.digest, row.state, row.activation, row.error, sa.func.count().over().label("all")
        )
        .where(row.network_id == this.network_id, row.layer == this.layer, row.unit == this.unit)
        .where(row.network_sha256 == this.network_sha256)
        .where(*(column.is_not_distinct_from(getattr(this, column.key)) for column in same))
        .order_by((row.seed == wanted).desc().nulls_last(), (row.state == State.DONE).desc(), *BEST_FIRST)
        .limit(limit)
    )
    rows = session.execute(query).all()
    some = [OfSeed(each.seed, each.digest, State(each.state), each.activation, each.error) for each in rows]
    return sorted(some, key=lambda each: each.seed), rows[0].all if rows else 0
