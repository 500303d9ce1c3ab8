"""Units without a picture, since nothing that is done to a picture moves them."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from services.base.errors import Invalid
from services.base.paging import Key, Keyset, Page
from services.base.states import State
from services.catalog.layers import get_layer
from services.catalog.networks import get_network
from services.catalog.tables import NetworkRow
from services.pictures.tables import VisualizationRow


@dataclass(frozen=True)
class Unreachable:
    """A unit, and the visualization that found it so."""

    network: str
    layer: str
    unit: int
    digest: str


def unreachable(
    session: Session,
    *,
    network: str | None = None,
    layer: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Unreachable]:
    """Units by network, layer and number that were tried, and have no picture by any recipe.

    Raises `NotFound`, or `Invalid` for a layer without a network, a cursor or a limit.
    """
    row, other, done = VisualizationRow, aliased(VisualizationRow), aliased(VisualizationRow)
    here = (row.network_id, row.layer, row.unit)
    is_unreachable = sa.literal(State.UNREACHABLE.value, literal_execute=True)
    query = (
        sa.select(row.network_id, row.layer, row.unit, row.digest)
        .join(
            NetworkRow, sa.and_(NetworkRow.id == row.network_id, NetworkRow.spec_sha256 == row.network_sha256)
        )
        # Spelled out, so that the planner sees that the partial index has what is looked for.
        .where(row.state == is_unreachable)
        .where(~_same_unit(done).where(done.state == State.DONE).exists())
        .where(~_same_unit(other).where(other.state == is_unreachable, other.digest < row.digest).exists())
        .order_by(*here)
    )
    if network is not None:
        get_network(session, network)
        query = query.where(row.network_id == network)
    if layer is not None:
        if network is None:
            raise Invalid.field("/layer", "needs a network beside it")
        query = query.where(row.layer == get_layer(session, network, layer).name)

    def read(after: Key | None, most: int) -> Sequence[Unreachable]:
        following = sa.true() if after is None else sa.tuple_(*here) > sa.tuple_(*after)
        return [Unreachable(*found) for found in session.execute(query.where(following).limit(most))]

    return Keyset("unreachable", (str, str, int)).page(
        cursor, limit, read, lambda unit: [unit.network, unit.layer, unit.unit]
    )


def _same_unit(other: type[VisualizationRow]) -> sa.Select[int]:
    row = VisualizationRow
    return (
        sa.select(sa.literal(1))
        .select_from(other)
        .where(other.network_id == row.network_id, other.layer == row.layer, other.unit == row.unit)
        .where(other.network_sha256 == row.network_sha256)
        .correlate(row)
    )
