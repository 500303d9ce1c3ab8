"""Sheets for IIIF viewers, such as Mirador, Universal Viewer and OpenSeadragon: image services of level 0,
manifests, and a collection for each version of an atlas."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import request
from sqlalchemy.orm import Session

from api.auth import reader
from api.http import sheets as answers
from api.http.caching import PERSONAL, Freshness
from api.http.negotiation import prefers
from api.http.objects import StoredObject
from api.http.paths import atlas_version_path, sheet_path
from api.operations.answers import Document
from api.operations.operation import ApiBlueprint, Tag, stored
from api.schemas.atlases import AtlasLayerPath, AtlasVersionPath
from api.schemas.base import NoQuery
from api.schemas.images.iiif import ImageOfLayerPath, ImageOfPosterPath
from services.base.errors import NotFound
from services.sheets import iiif, sheets

TAG = Tag(
    name="IIIF", description="Atlases for viewers of the IIIF: Mirador, Universal Viewer, OpenSeadragon."
)
_VERSION = "/atlases/<atlas>/versions/<version>"
_LAYER = f"{_VERSION}/layers/<layer>"
_LD, _PLAIN = "application/ld+json", "application/json"
_JPEG = stored(answers.MEDIA_TYPE, "The picture.")
_JSON: Mapping[int, Any] = {
    200: {"description": "JSON-LD.", "content": {_LD: {"schema": {"type": "object"}}}}
}
_BASE: Mapping[int, Any] = {303: {"description": "The image information is at `Location`."}}

blueprint = ApiBlueprint("iiif", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation("GET", f"{_LAYER}/iiif", scope="read", responses=_BASE)
def get_sheet_service(path: AtlasLayerPath, query: NoQuery) -> Document:
    """Lead from the image service of a layer's sheet to its information."""
    return _to_information()


@blueprint.operation("GET", f"{_VERSION}/poster/iiif", scope="read", responses=_BASE)
def get_poster_service(path: AtlasVersionPath, query: NoQuery) -> Document:
    """Lead from the image service of the poster to its information."""
    return _to_information()


@blueprint.operation("GET", f"{_LAYER}/iiif/info.json", scope="read", responses=_JSON)
def get_sheet_information(path: AtlasLayerPath, query: NoQuery) -> Document:
    """Get the image information of a layer's sheet (IIIF Image 3.0, level 0)."""
    return _information(path.atlas, path.version, path.layer)


@blueprint.operation("GET", f"{_VERSION}/poster/iiif/info.json", scope="read", responses=_JSON)
def get_poster_information(path: AtlasVersionPath, query: NoQuery) -> Document:
    """Get the image information of the poster (IIIF Image 3.0, level 0)."""
    return _information(path.atlas, path.version, None)


@blueprint.operation("GET", f"{_LAYER}/iiif/<region>/<extent>/0/default.jpg", scope="read", responses=_JPEG)
def get_sheet_region(path: ImageOfLayerPath, query: NoQuery) -> StoredObject:
    """Get a part of a layer's sheet. Those parts and sizes are served that its information names."""
    return _region(path.atlas, path.version, path.layer, path.region, path.extent)


@blueprint.operation(
    "GET", f"{_VERSION}/poster/iiif/<region>/<extent>/0/default.jpg", scope="read", responses=_JPEG
)
def get_poster_region(path: ImageOfPosterPath, query: NoQuery) -> StoredObject:
    """Get a part of the poster. Those parts and sizes are served that its information names."""
    return _region(path.atlas, path.version, None, path.region, path.extent)


@blueprint.operation("GET", f"{_LAYER}/manifest.json", scope="read", responses=_JSON)
def get_sheet_manifest(path: AtlasLayerPath, query: NoQuery) -> Document:
    """Get the manifest of a layer (IIIF Presentation 3.0)."""
    return _manifest(path.atlas, path.version, path.layer)


@blueprint.operation("GET", f"{_VERSION}/poster/manifest.json", scope="read", responses=_JSON)
def get_poster_manifest(path: AtlasVersionPath, query: NoQuery) -> Document:
    """Get the manifest of the poster (IIIF Presentation 3.0)."""
    return _manifest(path.atlas, path.version, None)


@blueprint.operation("GET", f"{_VERSION}/collection.json", scope="read", responses=_JSON)
def get_collection(session: Session, path: AtlasVersionPath, query: NoQuery) -> Document:
    """Get the collection of a version's manifests: the poster, and each layer that shows a picture."""
    version = sheets.sheeted_layers(session, path.atlas, path.version, by=reader())
    origin = request.host_url.rstrip("/")
    named = [(None, f"{version.name}: all layers"), *((layer, layer) for layer in version.layers)]
    manifests = [
        (
            f"{origin}{sheet_path(path.atlas, version.number, layer).removesuffix('/sheet')}/manifest.json",
            label,
        )
        for layer, label in named
    ]
    address = f"{origin}{atlas_version_path(path.atlas, version.number)}/collection.json"
    return _json(iiif.collection(address, version.name, manifests), iiif.PRESENTATION, PERSONAL)


def _to_information() -> Document:
    location = {"Location": f"{request.path}/info.json"}
    return Document(b"", "text/plain", PERSONAL, HTTPStatus.SEE_OTHER, location)


def _information(id: str, version: str, layer: str | None) -> Document:
    found, sheet = answers.whole(id, version, layer)
    service = request.base_url.removesuffix("/info.json")
    return _json(iiif.info(sheet.layout, service), iiif.IMAGE, answers.freshness(found, version))


def _region(id: str, version: str, layer: str | None, region: str, size: str) -> StoredObject:
    _, sheet = answers.whole(id, version, layer)
    place = iiif.requested(sheet.layout, region, size)
    if place is None:
        raise NotFound("part of the sheet", f"{region}/{size}", "Its info.json names those that there are.")
    if place.col < 0:
        return answers.picture(id, version, layer)
    return answers.tile(id, version, layer, place)


def _manifest(id: str, version: str, layer: str | None) -> Document:
    found, sheet = answers.whole(id, version, layer)
    address = request.base_url
    service = f"{address.removesuffix('/manifest.json')}/iiif"
    shown = layer or "all layers"
    facts = [
        ("Network", found.network),
        ("Layer", shown),
        ("Version", str(found.number)),
        ("Units", str(sheet.layout.cells)),
    ]
    made = iiif.manifest(sheet.layout, address, service, f"{found.network}: {shown}", facts)
    return _json(made, iiif.PRESENTATION, answers.freshness(found, version))


def _json(made: Mapping[str, Any], context: str, freshness: Freshness) -> Document:
    media_type = _PLAIN if prefers(_PLAIN, _LD) else f'{_LD};profile="{context}"'
    return Document(
        json.dumps(made, ensure_ascii=False).encode(), media_type, freshness, headers={"Vary": "Accept"}
    )
