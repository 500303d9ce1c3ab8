"""What scans have found of a unit: its exemplars, and how strongly pictures excite it. Where an activation
stands among them `percentiles` tells.

Of several scans the newest counts that succeeded with the network as it is now and watched the unit's layer.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.base.errors import NotFound
from services.base.states import ScanState
from services.catalog.layers import current_sha256, get_unit
from services.exemplars.tables import CropPackRow, ExemplarRow, ScanRow, UnitStatisticsRow


@dataclass(frozen=True)
class UnitStatistics:
    """How strongly real pictures excite a unit. Quantiles, at `imago_engine.exemplars.quantiles.LEVELS`, are
    those at the strongest place of each picture, and at the layer's usual place, where synthesized pictures
    are read."""

    scan_no: int
    scan: str
    input_size: int | None
    scanned_at: datetime | None
    pictures: int
    non_zero: float
    quantiles: tuple[float, ...]
    usual_quantiles: tuple[float, ...]


@dataclass(frozen=True)
class Exemplar:
    """A real picture that excites a unit. `place` is [y, x] in the layer's map where it does so most, None
    where there are no places; `box` what the unit sees there, in pixels of the network's input."""

    rank: int
    activation: float
    picture: str
    place: tuple[int, int] | None
    box: tuple[int, ...] | None
    pack: int
    object: str
    start: int
    length: int


@dataclass(frozen=True)
class UnitExemplars:
    """The statistics, and the pictures from the strongest on."""

    network: str
    layer: str
    unit: int
    statistics: UnitStatistics
    exemplars: tuple[Exemplar, ...]


def statistics(
    session: Session, network: str, layer: str, unit: int, *, scan: str | None = None
) -> UnitStatistics | None:
    """Of a unit by its layer's own name, of the newest scan or of one that is named; None where no scan tells
    of it."""
    query = (
        sa.select(ScanRow, UnitStatisticsRow)
        .join(UnitStatisticsRow, UnitStatisticsRow.scan_no == ScanRow.no)
        .where(ScanRow.network_id == network, ScanRow.state == ScanState.SUCCEEDED)
        .where(UnitStatisticsRow.layer == layer, UnitStatisticsRow.unit == unit)
        .order_by(ScanRow.no.desc())
        .limit(1)
    )
    if scan is None:
        query = query.where(ScanRow.network_sha256 == current_sha256(network))
    else:
        query = query.where(ScanRow.id == scan)
    found = session.execute(query).first()
    if found is None:
        return None
    return _statistics(*found)


def of_unit(
    session: Session, network: str, layer: str, unit: int, *, scan: str | None = None
) -> UnitExemplars:
    """Raises `NotFound` where there is no such unit, or no scan that tells of it."""
    found = get_unit(session, network, layer, unit)
    known = statistics(session, network, found.layer, unit, scan=scan)
    if known is None:
        if scan is not None:
            raise NotFound("scan", scan, f"None of that id has watched {found.layer} of {network}.")
        raise NotFound(
            "exemplar of the unit",
            f"{network}/{found.layer}/{unit}",
            "No pictures were scanned with this layer yet: POST /v1/scans.",
        )
    rows = session.execute(_exemplars(known.scan_no, found.layer, unit).order_by(ExemplarRow.rank))
    return UnitExemplars(
        network, found.layer, unit, known, tuple(_exemplar(row, object) for row, object in rows)
    )


def one(
    session: Session, network: str, layer: str, unit: int, rank: int, *, scan: str | None = None
) -> tuple[UnitStatistics, Exemplar]:
    """An exemplar by its rank, with the scan's statistics. Raises `NotFound`."""
    found = of_unit(session, network, layer, unit, scan=scan)
    for exemplar in found.exemplars:
        if exemplar.rank == rank:
            return found.statistics, exemplar
    raise NotFound("exemplar", str(rank), f"There are {len(found.exemplars)}, from rank 0.")


def _exemplars(scan_no: int, layer: str, unit: int) -> sa.Select[ExemplarRow, str]:
    return (
        sa.select(ExemplarRow, CropPackRow.object)
        .join(
            CropPackRow,
            sa.and_(CropPackRow.scan_no == ExemplarRow.scan_no, CropPackRow.number == ExemplarRow.pack),
        )
        .where(ExemplarRow.scan_no == scan_no, ExemplarRow.layer == layer, ExemplarRow.unit == unit)
    )


def _statistics(scan: ScanRow, row: UnitStatisticsRow) -> UnitStatistics:
    quantiles = tuple(row.quantiles)
    return UnitStatistics(
        scan_no=scan.no,
        scan=scan.id,
        input_size=scan.request["input_size"],
        scanned_at=scan.finished_at,
        pictures=row.counted,
        non_zero=row.non_zero,
        quantiles=quantiles,
        usual_quantiles=quantiles if row.usual_quantiles is None else tuple(row.usual_quantiles),
    )


def _exemplar(row: ExemplarRow, object: str) -> Exemplar:
    place = None if row.place_y is None or row.place_x is None else (row.place_y, row.place_x)
    box = None if row.box is None else tuple(row.box)
    return Exemplar(
        row.rank, row.activation, row.picture, place, box, row.pack, object, row.start, row.length
    )
