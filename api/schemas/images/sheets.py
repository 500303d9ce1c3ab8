"""Contact sheets and posters: how far they are, how large, and where their parts are."""

from typing import Literal, Self

from pydantic import Field

from api.http.paths import sheet_path
from api.schemas.atlases import AtlasLayerPath, AtlasVersionPath
from api.schemas.base import Name, Representation, SelfLink, Time, Whole
from services.sheets import sheets
from services.sheets.layout import CELL, TILE


class TileOfLayerPath(AtlasLayerPath):
    """The address of a tile of a layer's sheet."""

    level: Whole = Field(ge=0, le=31, description="Level of the pyramid; 0 is one pixel.")
    tile: Name = Field(pattern=r"^[0-9]{1,9}_[0-9]{1,9}$", description="Column and row of the tile.")


class TileOfPosterPath(AtlasVersionPath):
    """The address of a tile of a poster."""

    level: Whole = Field(ge=0, le=31, description="Level of the pyramid; 0 is one pixel.")
    tile: Name = Field(pattern=r"^[0-9]{1,9}_[0-9]{1,9}$", description="Column and row of the tile.")


class SheetStrip(Representation):
    """Cells that follow each other, from left to right and row by row."""

    title: str = Field(description="The layer's name, which stands in a row above them; empty for none.")
    cells: int
    row: int = Field(description="The row of cells that it begins in: its title's where it has one.")


class SheetPicture(Representation):
    width: int
    height: int


class SheetShape(Representation):
    """A sheet that is made."""

    width: int = Field(description="In pixels.")
    height: int
    columns: int = Field(description="Of cells.")
    rows: int
    cell: int = Field(description="Side of a cell in pixels.")
    tile: int = Field(description="Side of a tile in pixels; tiles are whole cells and do not overlap.")
    levels: int = Field(description="Of the pyramid: each is half as large as the next, the first one pixel.")
    strips: list[SheetStrip] = Field(
        description="What is shown: the units of a layer in the order of `…/units`, or all layers in turn."
    )
    picture: SheetPicture = Field(description="All of it in one picture, at most 4,096 pixels large.")
    made_at: Time

    @classmethod
    def of(cls, sheet: sheets.Sheet) -> Self:
        """The sheet as it is shown."""
        layout = sheet.layout
        return cls(
            width=layout.size[0],
            height=layout.size[1],
            columns=layout.columns,
            rows=layout.rows,
            cell=CELL,
            tile=TILE,
            levels=layout.top + 1,
            strips=[
                SheetStrip(title=strip.title, cells=strip.cells, row=row)
                for strip, row in zip(layout.strips, layout.starts(), strict=True)
            ],
            picture=SheetPicture(width=sheet.picture_size[0], height=sheet.picture_size[1]),
            made_at=sheet.made_at,
        )


class SheetLinks(SelfLink):
    picture: str | None = Field(description="JPEG of all of it; null until it is made, as all that follow.")
    dzi: str | None = Field(description="Deep Zoom, for OpenSeadragon and the like.")
    iiif: str | None = Field(description="IIIF Image 3.0, level 0.")
    manifest: str | None = Field(description="IIIF Presentation 3.0.")


class AtlasSheet(Representation):
    """The contact sheet of a layer in a version of an atlas, or the poster of all layers."""

    object: Literal["sheet"] = "sheet"
    atlas: str
    version: int
    published: bool
    layer: str | None = Field(description="Null for the poster.")
    current: bool = Field(
        description="It shows all that there is. An older one is shown until a worker has made the next."
    )
    coming: bool = Field(description="Workers are to make it, or to make it again.")
    sheet: SheetShape | None = Field(description="Null until there is one.")
    problem: str | None = Field(description="Why a worker could not make it, the last time.")
    links: SheetLinks

    @classmethod
    def of(cls, found: sheets.ShownSheet) -> Self:
        """The sheet as it is shown."""
        path = sheet_path(found.atlas, found.number, found.layer)
        beside = path.removesuffix("/sheet")
        made = found.sheet is not None
        return cls(
            atlas=found.atlas,
            version=found.number,
            published=found.published,
            layer=found.layer,
            current=found.current,
            coming=found.coming,
            sheet=None if found.sheet is None else SheetShape.of(found.sheet),
            problem=found.problem,
            links=SheetLinks(
                self=path,
                picture=f"{path}.jpg" if made else None,
                dzi=f"{path}.dzi" if made else None,
                iiif=f"{beside}/iiif/info.json" if made else None,
                manifest=f"{beside}/manifest.json" if made else None,
            ),
        )
