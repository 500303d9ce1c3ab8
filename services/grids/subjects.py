"""What a grid shows: the units of a layer as a version of an atlas has them, or each by its best picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from imago_engine.units import read_units
from services.access.keys import Principal
from services.atlases.atlases import version_row
from services.atlases.tables import AtlasLayerRow, AtlasRow, AtlasVersionRow
from services.atlases.visibility import atlas_row
from services.base.errors import NotFound
from services.base.states import ScanState, State
from services.catalog.layers import Layer, get_layer
from services.catalog.networks import Network, get_network
from services.exemplars.percentiles import lies_within
from services.exemplars.tables import ScanRow, UnitStatisticsRow
from services.jobs.tables import JobRow
from services.pictures.best import BEST_FIRST
from services.pictures.tables import RecipeRow, VisualizationRow

_LOOKED_AT = 500
"""Pictures that tell at which size those of a layer are."""


@dataclass(frozen=True)
class Place:
    """Where a version of an atlas keeps a layer. `progress` is another one whenever pictures have ended: what
    was computed of the version is then no longer true."""

    atlas: str
    atlas_no: int
    layer_no: int
    number: int
    progress: tuple[int, ...]


@dataclass(frozen=True)
class Watched:
    """The newest scan that watched the layer. `compared` is the one among whose photographs the pictures
    stand, None where there is none such: see `exemplars.percentiles`."""

    scan_no: int
    scan: str
    compared: int | None

    @property
    def basis(self) -> str:
        """Another one whenever photographs say something else."""
        return self.scan if self.compared in (None, self.scan_no) else f"{self.scan} {self.compared}"


@dataclass(frozen=True)
class Subject:
    """`units` are those that the grid is of, ascending. `classes` are the names of the network's classes,
    which its pictures are seen as."""

    network: Network
    layer: Layer
    units: Sequence[int]
    facets: int
    place: Place | None
    watched: Watched | None

    @property
    def classes(self) -> Sequence[str]:
        """The names of the network's classes."""
        return self.network.labels

    @property
    def unit_names(self) -> Sequence[str]:
        """The classes that the units stand for: of the output layer, none of any other."""
        names = self.classes if self.layer.kind == "output" else ()
        return names if len(names) == self.layer.units else ()


def of_best(session: Session, network: str, layer: str) -> Subject:
    """Every unit of a layer by the best picture that there is of it. Raises `NotFound`."""
    found, described = get_layer(session, network, layer), get_network(session, network)
    size = _size_of_best(session, described, found)
    return Subject(
        described,
        found,
        range(found.units),
        1,
        None,
        _watched(session, described, found, size, described.spec_sha256),
    )


def of_version(
    session: Session, network: str, layer: str, atlas: str, version: str, *, by: Principal | None
) -> Subject:
    """The units that were chosen of a layer for an atlas, with the pictures that a version has of them.

    Raises `NotFound`: for an atlas that `by` does not see or of another network, a version or a layer that is
    not there.
    """
    found, described = get_layer(session, network, layer, or_former=True), get_network(session, network)
    row = atlas_row(session, atlas, by)
    if row.network_id != network:
        raise NotFound("atlas", atlas, f"It shows {row.network_id}, not {network}.")
    shown = version_row(session, row, version)
    kept = _kept(session, row, shown, found.name)
    if kept is None:
        raise NotFound("layer", layer, f"Version {shown.number} of the atlas {atlas} does not show it.")
    progress = () if shown.published_at else _progress(session, row.no, kept["layer_no"])
    return Subject(
        described,
        found,
        read_units(kept["units"]).of(found.units),
        kept["facets"],
        Place(row.id, row.no, kept["layer_no"], shown.number, progress),
        _watched(session, described, found, kept["parameters"].get("input_size"), shown.network_sha256),
    )


def _kept(session: Session, row: AtlasRow, version: AtlasVersionRow, layer: str) -> Mapping[str, Any] | None:
    """What the version, or the atlas while it is being built, says of the layer."""
    if version.layers is not None:
        return next((kept for kept in version.layers if kept["layer"] == layer), None)
    query = sa.select(AtlasLayerRow).where(AtlasLayerRow.atlas_no == row.no, AtlasLayerRow.layer == layer)
    found = session.scalars(query).first()
    if found is None:
        return None
    return {
        "layer_no": found.layer_no,
        "units": found.units,
        "facets": found.facets,
        "parameters": found.making["parameters"],
    }


def _progress(session: Session, atlas_no: int, layer_no: int) -> tuple[int, ...]:
    undecided = sa.cast(JobRow.undecided, sa.Integer)
    counts = (JobRow.total, JobRow.done, JobRow.failed, JobRow.unreachable, JobRow.canceled, undecided)
    query = sa.select(*(sa.func.coalesce(sa.func.sum(count), 0) for count in counts))
    found = session.execute(query.where(JobRow.atlas_no == atlas_no, JobRow.layer_no == layer_no)).one()
    return tuple(int(count) for count in found)


def _size_of_best(session: Session, network: Network, layer: Layer) -> int | None:
    """At which size the network sees most pictures that the layer is shown by, as far as the first of them
    tell: single units may have been computed in other ways."""
    row = VisualizationRow
    best = (
        sa.select(row.recipe_digest)
        .ext(distinct_on(row.unit))
        .where(row.network_id == network.id, row.layer == layer.name)
        .where(row.network_sha256 == network.spec_sha256, row.state == State.DONE)
        .order_by(row.unit, *BEST_FIRST)
        .limit(_LOOKED_AT)
        .subquery()
    )
    size = RecipeRow.parameters["input_size"]
    query = (
        sa.select(size)
        .join(best, best.c.recipe_digest == RecipeRow.digest)
        .group_by(size)
        .order_by(sa.func.count().desc(), size)
        .limit(1)
    )
    found: int | None = session.scalar(query)
    return found


def _watched(
    session: Session, network: Network, layer: Layer, input_size: int | None, sha256: str | None
) -> Watched | None:
    """`input_size` of the pictures, None for the network's own; `sha256` of the network that they are of,
    which may have changed since."""
    tells = sa.select(UnitStatisticsRow.unit).where(
        UnitStatisticsRow.scan_no == ScanRow.no, UnitStatisticsRow.layer == layer.name
    )
    query = (
        sa.select(ScanRow.no, ScanRow.id, ScanRow.request)
        .where(ScanRow.network_id == network.id, ScanRow.state == ScanState.SUCCEEDED)
        .where(ScanRow.network_sha256 == sha256, tells.exists())
        .order_by(ScanRow.no.desc())
    )
    scans = session.execute(query).all()
    if not scans:
        return None
    sizes = {scan.no: scan.request["input_size"] for scan in scans}
    size = input_size or network.own_size
    same = [no for no, other in sizes.items() if other == size]
    known = sha256 == network.spec_sha256  # else what the layer is now tells nothing of what it was
    within = [
        no for no, other in sizes.items() if known and size and other and lies_within(layer, min(size, other))
    ]
    return Watched(scans[0].no, scans[0].id, next(iter(same + within), None))
