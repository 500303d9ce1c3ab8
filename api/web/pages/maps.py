"""The map of a version of an atlas: what its regions show, and a picture of it that one moves about in."""

from flask import Response

from api.auth import principal, reader, requires
from api.context import context
from api.http.paths import map_path
from api.schemas.images.maps import AtlasMap
from api.web.addresses import ServerAddresses
from api.web.shown import reference
from api.web.site import blueprint, page, see
from imago_engine.weights import EYE
from services.atlases import atlases
from services.base.states import Lane
from services.catalog.networks import get_network
from services.maps import maps

UNIT_STANDS_IN = 987654321
"""The script puts a unit's number in its place, in the address of a unit of each layer."""


@blueprint.get("/atlases/<atlas>/versions/<version>/map")
@requires("read")
def atlas_map(atlas: str, version: str) -> Response:
    """The map, or what to do while there is none."""
    with context().database.session() as session:
        found = atlases.get(session, atlas, by=reader())
        shown = maps.find(session, atlas, version, by=reader())
        classes = get_network(session, found.network).labels
    if shown.coming:
        context().doorbell.ring(Lane.BULK)
    return page(
        "atlases/map.html",
        section="atlases",
        atlas=found,
        version=version,
        shown=reference(atlas, shown.number, shown.published),
        map=AtlasMap.of(shown, EYE),
        classes=classes,
        stands_in=UNIT_STANDS_IN,
        facts_path=map_path(atlas, shown.number),
    )


@blueprint.post("/atlases/<atlas>/versions/<version>/map")
@requires("jobs:write")
def make_atlas_map(atlas: str, version: str) -> Response:
    """Have it made, and show the page again."""
    with context().database.session() as session:
        maps.find(session, atlas, version, by=principal(), asked=True)
    context().doorbell.ring(Lane.BULK)
    return see(ServerAddresses().atlas_map(atlas, version))
