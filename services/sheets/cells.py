"""Which unit each cell of a sheet shows."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.units import read_units
from services.access.keys import Principal
from services.atlases.atlases import version_row
from services.atlases.entries import units_of
from services.atlases.progress import layer_rows
from services.atlases.visibility import atlas_row
from services.base.errors import NotFound

_UNIT = text("""
    SELECT DISTINCT unit FROM atlas_entries
    WHERE atlas_no = :no AND layer_no = :layer AND since <= :number AND (until IS NULL OR until > :number)
    ORDER BY unit OFFSET :cell LIMIT 1
""")

_BEYOND_ALL = 2**31 - 1
"""A cell that no sheet has, which the database can count to."""


class Steps(NamedTuple):
    """The units that were chosen of a layer, where they are `first`, `first + step`, … : so many."""

    first: int
    step: int
    units: int


def steps(session: Session, id: str, version: str, *, by: Principal | None = None) -> Mapping[str, Steps]:
    """By layer, as far as the units of a layer are such. If all of them are on the sheet, cells follow them.
    Raises as `version_row` does."""
    row = atlas_row(session, id, by)
    found = version_row(session, row, version)
    if found.layers is None:
        kept = [(layer.layer, layer.units, layer.unit_count) for layer in layer_rows(session, row)]
    else:
        kept = [(layer["layer"], layer["units"], layer["unit_count"]) for layer in found.layers]
    regular = {layer: (read_units(units).progression, count) for layer, units, count in kept}
    return {layer: Steps(*known, count) for layer, (known, count) in regular.items() if known is not None}


def unit_of_cell(
    session: Session, id: str, version: str, layer: str, cell: int, *, by: Principal | None = None
) -> int:
    """The unit in a cell of a layer's sheet. Raises as `units_of` does, and `NotFound` beyond the last."""
    units = units_of(session, id, version, layer, by=by)
    place = {"no": units.atlas_no, "layer": units.layer_no, "number": units.shows}
    place["cell"] = min(cell, _BEYOND_ALL)
    unit = session.execute(_UNIT, place).scalar()
    if unit is None:
        raise NotFound("cell", str(cell), f"The sheet of {units.layer} has fewer.")
    return int(unit)
