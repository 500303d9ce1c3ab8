"""Read sheets: those of layers, and posters, of the versions of atlases that a reader sees.

What is missing, or of an open version not up to date, is planned: once, however often it is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases.atlases import version_row
from services.atlases.entries import units_of
from services.atlases.progress import layer_rows
from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.atlases.visibility import atlas_row
from services.base.errors import NotFound
from services.base.states import Visibility
from services.queue import chores
from services.sheets.layout import Layout, Place, Strip
from services.sheets.subjects import POSTER, SHEET, Sheeted, plan
from services.sheets.tables import AtlasSheetRow, SheetRow, SheetTileRow

AGAIN_SECONDS = 60.0
"""How long the sheet of an open version is good enough at least."""
# Candidates are made unit by unit, and a unit shows one of them.
_DONE = text("""
    SELECT coalesce(sum((done + made.candidates - 1) / made.candidates), 0) FROM jobs
    CROSS JOIN LATERAL (
        SELECT coalesce(CAST(request ->> 'candidates' AS int), 1) AS candidates
    ) AS made
    WHERE atlas_no = :no AND (:layer = -1 OR layer_no = :layer)
""")


@dataclass(frozen=True)
class Sheet:
    """A sheet that is whole. `picture_object` shows all of it, `picture_size` pixels large."""

    name: str
    layout: Layout
    picture_object: str
    made_at: datetime

    @property
    def picture_size(self) -> tuple[int, int]:
        """Width and height."""
        return self.layout.size_of(self.layout.picture_level)


@dataclass(frozen=True)
class ShownSheet:
    """The sheet of a layer of an atlas, of all layers where that is None. `sheet` is None until there is one;
    it is `current` if a worker has nothing to make. `coming`: a worker will make it, or make it again.
    `problem`: why a worker could not, the last time. `lacking`: some units may have no picture on it."""

    atlas: str
    network: str
    number: int
    published: bool
    public: bool
    layer: str | None
    sheet: Sheet | None
    current: bool
    coming: bool
    problem: str | None
    lacking: bool = False

    @property
    def settled(self) -> bool:
        """Whether it stays as it is."""
        return self.published and self.current


def find(
    session: Session,
    id: str,
    version: str,
    layer: str | None,
    *,
    by: Principal | None = None,
    planning: bool = True,
) -> ShownSheet:
    """The sheet of a layer, or the poster; with `planning`, planned where it is not there or not up to date.

    Raises as `units_of` does, and `NotFound` where there is no picture yet.
    """
    row = atlas_row(session, id, by)
    found = version_row(session, row, version)
    layer_no = POSTER
    if layer is not None:
        units = units_of(session, id, version, layer, by=by)
        layer_no, layer = units.layer_no, units.layer
    wanted = Sheeted(row.id, found.number, layer_no)
    pictures = pictures_of(session, row, found, layer_no)
    if not pictures:
        raise NotFound("sheet", f"{id}/{found.number}", "There is no picture to be shown on it yet.")
    there = session.get(AtlasSheetRow, (row.no, found.number, layer_no))
    published = found.published_at is not None
    current = there is not None and there.sheet is not None and there.making is None
    current = current and there is not None and (there.final if published else there.pictures == pictures)
    if not current and planning:
        # What shows most of a layer that is being built need not follow each of its pictures.
        again = there is not None and there.sheet is not None and not published
        plan(session, wanted, after_seconds=AGAIN_SECONDS if again else 0)
    # Of a version that is published nothing is shown that was made while it was open.
    name = there.sheet if there is not None and (current or not published) else None
    outlook = chores.outlook(session, SHEET, str(wanted))
    return ShownSheet(
        row.id,
        row.network_id,
        found.number,
        published,
        row.visibility == Visibility.PUBLIC,
        layer,
        _whole(session, name),
        current,
        not current and outlook.coming,
        None if current else outlook.problem,
        found.layers is None
        or any(layer["unreachable"] for layer in found.layers if layer_no in (POSTER, layer["layer_no"])),
    )


def pictures_of(session: Session, row: AtlasRow, version: AtlasVersionRow, layer_no: int) -> int:
    """How many pictures a version shows of a layer, or of all (`POSTER`); about so many the open one."""
    if version.layers is None:
        return int(session.execute(_DONE, {"no": row.no, "layer": layer_no}).scalar_one())
    layers: Sequence[Mapping[str, Any]] = version.layers
    return sum(layer["pictures"] for layer in layers if layer_no in (POSTER, layer["layer_no"]))


def _whole(session: Session, name: str | None) -> Sheet | None:
    row = None if name is None else session.get(SheetRow, name)
    if row is None or row.picture_object is None or row.made_at is None:
        return None
    return Sheet(row.name, layout_of(row), row.picture_object, row.made_at)


def layout_of(row: SheetRow) -> Layout:
    """The layout of a sheet."""
    return Layout(row.columns, tuple(Strip(title, cells) for title, cells in row.strips))


def tile(session: Session, sheet: Sheet, place: Place) -> str:
    """The object of a tile. Raises `NotFound`."""
    query = sa.select(SheetTileRow.object).where(
        SheetTileRow.sheet == sheet.name,
        SheetTileRow.level == place.level,
        SheetTileRow.col == place.col,
        SheetTileRow.row == place.row,
    )
    found = session.scalar(query) if sheet.layout.has(place) else None
    if found is None:
        raise NotFound("tile", "{}/{}_{}".format(*place))
    return found


@dataclass(frozen=True)
class SheetedLayers:
    """The names of the layers of a version that show a picture, in the order of the network."""

    name: str
    number: int
    layers: Sequence[str]


def sheeted_layers(session: Session, id: str, version: str, *, by: Principal | None = None) -> SheetedLayers:
    """What there are sheets of in a version, or will be. `name` is the atlas's. Raises as `find` does."""
    row = atlas_row(session, id, by)
    found = version_row(session, row, version)
    layers = [
        layer.layer for layer in layer_rows(session, row) if pictures_of(session, row, found, layer.layer_no)
    ]
    return SheetedLayers(row.name, found.number, layers)
