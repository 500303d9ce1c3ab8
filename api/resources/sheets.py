"""Contact sheets of layers and posters of networks, and the tiles of their Deep Zoom pyramids."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from api.auth import reader
from api.http import sheets as answers
from api.http.caching import PERSONAL
from api.http.objects import StoredObject
from api.operations.answers import Answer, Document, accepted
from api.operations.operation import ApiBlueprint, stored
from api.resources.atlases import TAG
from api.schemas.atlases import AtlasLayerPath, AtlasVersionPath
from api.schemas.base import NoQuery
from api.schemas.images.sheets import AtlasSheet, TileOfLayerPath, TileOfPosterPath
from services.base.states import Lane
from services.sheets import sheets
from services.sheets.layout import TILE

_VERSION = "/atlases/<atlas>/versions/<version>"
_LAYER = f"{_VERSION}/layers/<layer>"
_JPEG = stored(answers.MEDIA_TYPE, "The picture.")
_DZI: Mapping[int, Any] = {
    200: {"description": "Deep Zoom.", "content": {"application/xml": {"schema": {"type": "string"}}}}
}

blueprint = ApiBlueprint("sheets", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation(
    "GET",
    f"{_LAYER}/sheet",
    scope="read",
    responses={200: AtlasSheet, 202: AtlasSheet},
    freshness=PERSONAL,
)
def get_sheet(session: Session, path: AtlasLayerPath, query: NoQuery) -> Answer:
    """Get the contact sheet of a layer.

    Workers make it, for published versions by themselves; 202 while there is none. Its cells follow the units
    of the version, and each shows the first facet that is done. That of an open version follows what is built
    within some minutes.
    """
    return _shown(sheets.find(session, path.atlas, path.version, path.layer, by=reader()))


@blueprint.operation(
    "GET",
    f"{_VERSION}/poster",
    scope="read",
    responses={200: AtlasSheet, 202: AtlasSheet},
    freshness=PERSONAL,
)
def get_poster(session: Session, path: AtlasVersionPath, query: NoQuery) -> Answer:
    """Get the poster of an atlas: the units of one layer after the other, below its name."""
    return _shown(sheets.find(session, path.atlas, path.version, None, by=reader()))


@blueprint.operation("GET", f"{_LAYER}/sheet.jpg", scope="read", responses=_JPEG)
def get_sheet_picture(path: AtlasLayerPath, query: NoQuery) -> StoredObject:
    """Get the sheet of a layer in one picture, reduced to 4,096 pixels where it is larger."""
    return answers.picture(path.atlas, path.version, path.layer)


@blueprint.operation("GET", f"{_VERSION}/poster.jpg", scope="read", responses=_JPEG)
def get_poster_picture(path: AtlasVersionPath, query: NoQuery) -> StoredObject:
    """Get the poster in one picture, reduced to 4,096 pixels where it is larger."""
    return answers.picture(path.atlas, path.version, None)


@blueprint.operation("GET", f"{_LAYER}/sheet.dzi", scope="read", responses=_DZI)
def get_sheet_dzi(path: AtlasLayerPath, query: NoQuery) -> Document:
    """Describe the pyramid of a layer's sheet to Deep Zoom viewers, such as OpenSeadragon."""
    return _dzi(path.atlas, path.version, path.layer)


@blueprint.operation("GET", f"{_VERSION}/poster.dzi", scope="read", responses=_DZI)
def get_poster_dzi(path: AtlasVersionPath, query: NoQuery) -> Document:
    """Describe the pyramid of the poster to Deep Zoom viewers."""
    return _dzi(path.atlas, path.version, None)


@blueprint.operation("GET", f"{_LAYER}/sheet_files/<level>/<tile>.jpg", scope="read", responses=_JPEG)
def get_sheet_tile(path: TileOfLayerPath, query: NoQuery) -> StoredObject:
    """Get a tile of a layer's sheet, named by its column and row."""
    place = answers.place_of(path.level, path.tile)
    return answers.tile(path.atlas, path.version, path.layer, place)


@blueprint.operation("GET", f"{_VERSION}/poster_files/<level>/<tile>.jpg", scope="read", responses=_JPEG)
def get_poster_tile(path: TileOfPosterPath, query: NoQuery) -> StoredObject:
    """Get a tile of the poster, named by its column and row."""
    return answers.tile(path.atlas, path.version, None, answers.place_of(path.level, path.tile))


def _shown(found: sheets.ShownSheet) -> Answer:
    again = answers.AGAIN_SECONDS if found.sheet is None else None
    return accepted(AtlasSheet.of(found), again, ring=None if found.current else Lane.BULK)


def _dzi(id: str, version: str, layer: str | None) -> Document:
    found, sheet = answers.whole(id, version, layer)
    width, height = sheet.layout.size
    described = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" '
        f'TileSize="{TILE}" Overlap="0" Format="jpg"><Size Width="{width}" Height="{height}"/></Image>\n'
    )
    return Document(described.encode(), "application/xml", answers.freshness(found, version))
