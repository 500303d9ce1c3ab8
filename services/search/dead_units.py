"""Dead units: no real picture that was scanned excites them. Most have a synthesized picture all the same;
those of which none can exist are `unreachable`, another thing.

Of several scans the newest that watched a unit says whether it is dead, of the network as it is now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from services.base.errors import Invalid
from services.base.paging import Key, Keyset, Page
from services.base.states import ScanState, State
from services.catalog.layers import get_layer
from services.catalog.networks import get_network
from services.catalog.tables import NetworkRow
from services.exemplars.tables import ScanRow, UnitStatisticsRow
from services.pictures.best import BEST_FIRST
from services.pictures.tables import VisualizationRow


@dataclass(frozen=True)
class Dead:
    """A unit that no picture of a scan excites. `digest` is its best synthesized picture, if it has any, and
    `activation` its response to that."""

    network: str
    layer: str
    unit: int
    digest: str | None = None
    activation: float | None = None


def dead(
    session: Session,
    *,
    network: str | None = None,
    layer: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Dead]:
    """Dead units by network, layer and number.

    Raises `NotFound`, or `Invalid` for a layer without a network, a cursor or a limit.
    """
    if network is not None:
        get_network(session, network)
    elif layer is not None:
        raise Invalid.field("/layer", "needs a network beside it")
    name = None if layer is None or network is None else get_layer(session, network, layer).name
    scans = _scans(session, network)

    def read(after: Key | None, most: int) -> Sequence[Dead]:
        found: list[Dead] = []
        for id, numbers in scans.items():
            if len(found) < most and (after is None or id >= after[0]):
                place = after[1:] if after is not None and id == after[0] else None
                rows = session.execute(_merged(numbers, name, place, most - len(found)))
                found += [Dead(id, row.layer, row.unit) for row in rows]
        return found

    page = Keyset("dead", (str, str, int)).page(
        cursor, limit, read, lambda unit: [unit.network, unit.layer, unit.unit]
    )
    best = _best(session, page.data)
    return page.map(lambda unit: best.get((unit.network, unit.layer, unit.unit), unit))


def _scans(session: Session, network: str | None) -> Mapping[str, Sequence[int]]:
    """The numbers of the scans of each network as it is now, by its id."""
    query = (
        sa.select(ScanRow.network_id, ScanRow.no)
        .join(
            NetworkRow,
            sa.and_(NetworkRow.id == ScanRow.network_id, NetworkRow.spec_sha256 == ScanRow.network_sha256),
        )
        .where(ScanRow.state == ScanState.SUCCEEDED)
        .order_by(ScanRow.network_id, ScanRow.no)
    )
    if network is not None:
        query = query.where(ScanRow.network_id == network)
    rows = session.execute(query).all()
    return {id: [row.no for row in found] for id, found in groupby(rows, lambda row: row.network_id)}


def _merged(
    scans: Sequence[int], layer: str | None, after: Key | None, most: int
) -> sa.Select[*tuple[Any, ...]]:
    """One ordered look into the index a scan, merged: all of them together would have to be sorted."""
    parts = [
        sa.select(_of_scan(scan, scans[number + 1 :], layer, after, most).subquery())
        for number, scan in enumerate(scans)
    ]
    both = sa.union_all(*parts).subquery()
    return sa.select(both).order_by(both.c.layer, both.c.unit).limit(most)


def _of_scan(
    scan: int, newer: Sequence[int], layer: str | None, after: Key | None, most: int
) -> sa.Select[*tuple[Any, ...]]:
    row, later = UnitStatisticsRow, aliased(UnitStatisticsRow)
    query = (
        sa.select(row.layer, row.unit)
        # Spelled out, so that the planner sees that the partial index has what is looked for.
        .where(row.scan_no == scan, row.non_zero == sa.literal_column("0"), row.counted > 0)
        .order_by(row.layer, row.unit)
        .limit(most)
    )
    if newer:
        again = sa.select(sa.literal(1)).where(
            later.scan_no.in_(newer), later.layer == row.layer, later.unit == row.unit
        )
        query = query.where(~again.exists())
    if layer is not None:
        query = query.where(row.layer == layer)
    return query if after is None else query.where(sa.tuple_(row.layer, row.unit) > sa.tuple_(*after))


def _best(session: Session, units: Sequence[Dead]) -> Mapping[tuple[str, str, int], Dead]:
    """The units of a page that have a picture, with the best one."""
    if not units:
        return {}
    row = VisualizationRow
    place = sa.column("network", sa.Text), sa.column("layer", sa.Text), sa.column("unit", sa.Integer)
    wanted = sa.values(*place, name="wanted").data([(unit.network, unit.layer, unit.unit) for unit in units])
    best = (
        sa.select(row.digest, row.activation)
        .join(
            NetworkRow,
            sa.and_(NetworkRow.id == row.network_id, NetworkRow.spec_sha256 == row.network_sha256),
        )
        .where(row.network_id == wanted.c.network, row.layer == wanted.c.layer, row.unit == wanted.c.unit)
        .where(row.state == State.DONE)
        .order_by(*BEST_FIRST)
        .limit(1)
        .lateral()
    )
    query = sa.select(wanted.c.network, wanted.c.layer, wanted.c.unit, best.c.digest, best.c.activation)
    rows = session.execute(query.join(best, sa.true()))
    return {(found.network, found.layer, found.unit): Dead(*found) for found in rows}
