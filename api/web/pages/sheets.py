"""Contact sheets of layers and posters of networks, as pictures that one moves about in."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from api.auth import reader, requires
from api.context import context
from api.schemas.images.sheets import AtlasSheet
from api.web.addresses import ServerAddresses, local_path
from api.web.shown import reference
from api.web.site import blueprint, page, see
from services.atlases import atlases
from services.base.states import Lane
from services.sheets import cells, sheets
from services.sheets.layout import CELL, TILE
from services.sheets.sheets import Sheet, ShownSheet

_LAYER_STANDS_IN, _NUMBER_STANDS_IN = "LAYER-NAME", 987654321
"""The script puts names and numbers in their places, in the addresses of units and cells."""


@blueprint.get("/atlases/<atlas>/versions/<version>/layers/<layer>/sheet")
@requires("read")
def layer_sheet(atlas: str, version: str, layer: str) -> Response:
    """The sheet of a layer, or that it is being made."""
    return _page(atlas, version, layer)


@blueprint.get("/atlases/<atlas>/versions/<version>/poster")
@requires("read")
def poster(atlas: str, version: str) -> Response:
    """The poster of all layers, or that it is being made."""
    return _page(atlas, version, None)


@blueprint.get("/atlases/<atlas>/versions/<version>/layers/<layer>/sheet/<int:cell>")
@requires("read")
def cell_of_sheet(atlas: str, version: str, layer: str, cell: int) -> Response:
    """Lead to the unit that a cell shows, the first one being 0."""
    with context().database.session() as session:
        found = sheets.find(session, atlas, version, layer, by=reader(), planning=False)
        unit = cells.unit_of_cell(session, atlas, version, layer, cell, by=reader())
    shown = reference(atlas, found.number, found.published)
    return see(ServerAddresses().unit(found.network, found.layer or layer, unit, atlas=shown))


def _page(atlas: str, version: str, layer: str | None) -> Response:
    with context().database.session() as session:
        named = atlases.get(session, atlas, by=reader())
        found = sheets.find(session, atlas, version, layer, by=reader())
        data = None if found.sheet is None else _data(session, found, found.sheet, version)
    if not found.current:
        context().doorbell.ring(Lane.BULK)
    return page(
        "atlases/sheet.html",
        section="atlases",
        atlas=named,
        version=version,
        shown=reference(atlas, found.number, found.published),
        sheet=AtlasSheet.of(found),
        cells=0 if found.sheet is None else found.sheet.layout.cells,
        lacking=found.lacking,
        data=data,
    )


def _data(session: Session, found: ShownSheet, sheet: Sheet, version: str) -> Mapping[str, Any]:
    """What the script reads: see `static/js/sheet.js`."""
    layout, address = sheet.layout, ServerAddresses()
    known = cells.steps(session, found.atlas, version, by=reader())
    strips: list[list[Any]] = []
    for strip, row in zip(layout.strips, layout.starts(), strict=True):
        name = strip.title or found.layer or ""
        steps = known.get(name)
        regular = (
            (steps.first, steps.step) if steps is not None and steps.units == strip.cells else (None, None)
        )
        strips.append([name, row, int(bool(strip.title)), strip.cells, *regular])
    unit = address.unit(
        found.network,
        _LAYER_STANDS_IN,
        _NUMBER_STANDS_IN,
        atlas=reference(found.atlas, found.number, found.published),
    )
    return {
        "width": layout.size[0],
        "height": layout.size[1],
        "columns": layout.columns,
        "cell": CELL,
        "tile": TILE,
        "top": layout.top,
        "strips": strips,
        "tiles": f"{AtlasSheet.of(found).links.self}_files/",
        "unit_page": unit,
        "cell_page": address.atlas_sheet(found.atlas, version, _LAYER_STANDS_IN)
        + local_path(_NUMBER_STANDS_IN),
        "layer_stands_in": _LAYER_STANDS_IN,
        "number_stands_in": _NUMBER_STANDS_IN,
    }
