"""Maps of atlases: where their units lie, and what is known of some of them."""

from sqlalchemy.orm import Session

from api.auth import principal, reader
from api.context import context
from api.http.caching import PERSONAL, Freshness
from api.http.objects import StoredObject
from api.operations.answers import Answer, accepted
from api.operations.operation import ApiBlueprint, stored
from api.problems import problem_types
from api.problems.problems import Problem
from api.resources.atlases import TAG
from api.schemas.atlases import AtlasVersionPath
from api.schemas.base import NoQuery
from api.schemas.images.maps import AtlasMap, MappedUnit, MappedUnits, MapPointsQuery, MapUnitsQuery
from imago_engine.weights import EYE
from services.base.errors import Invalid
from services.base.states import Lane
from services.maps import details, maps
from services.maps.maps import Map, ShownMap
from services.pictures.losses import Subject

AGAIN_SECONDS = 5
"""When to ask again for a map that is being made."""
_MAP = "/atlases/<atlas>/versions/<version>/map"
_FOREVER_SECONDS, _LASTING_SECONDS = 31_536_000, 3600
_MEDIA_TYPE = "application/octet-stream"

blueprint = ApiBlueprint("maps", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation("GET", _MAP, scope="read", responses={200: AtlasMap, 202: AtlasMap}, freshness=PERSONAL)
def get_map(session: Session, path: AtlasVersionPath, query: NoQuery) -> Answer:
    """Get the map of a version of an atlas.

    Workers make that of a published version by themselves, and that of the open one when it is asked for by
    POST: `map` is null until then, and 202 says that it is coming.
    """
    return _shown(maps.find(session, path.atlas, path.version, by=reader()))


@blueprint.operation(
    "POST", _MAP, scope="jobs:write", responses={200: AtlasMap, 202: AtlasMap}, freshness=PERSONAL
)
def make_map(session: Session, path: AtlasVersionPath) -> Answer:
    """Have the map of a version of an atlas made, where there is none or something has changed since.

    What is shown meanwhile is the one before. One that could not be made is tried again.
    """
    return _shown(maps.find(session, path.atlas, path.version, by=principal(), asked=True))


@blueprint.operation("GET", f"{_MAP}/points", scope="read", responses=stored(_MEDIA_TYPE, "The points."))
def get_map_points(path: AtlasVersionPath, query: MapPointsQuery) -> StoredObject:
    """Get the points of a map, in binary columns.

    All numbers are little-endian: the text `imagomap`, uint32 1 (the version of the format), uint32 the
    number of points, then that many of each: float32 x, float32 y (0 to 1), uint32 unit, uint16 layer. They
    are in random order: the points that the columns begin with are a fair sample of all.
    """
    with context().database.session() as session:
        found = maps.find(session, path.atlas, path.version, by=reader(), planning=False)
    map = _whole(found)
    if query.name is not None and query.name != map.name:
        raise Problem(problem_types.NO_PICTURE, "The version shows another map by now.")
    return StoredObject(
        map.points_object,
        f"{found.atlas}-{found.number}.imagomap",
        Subject("map", map.name),
        _freshness(found, path.version, named=query.name is not None),
    )


@blueprint.operation("GET", f"{_MAP}/units", scope="read", responses={200: MappedUnits}, freshness=PERSONAL)
def get_map_units(session: Session, path: AtlasVersionPath, query: MapUnitsQuery) -> MappedUnits:
    """Get what is known of some units of a map: their pictures, and what these are seen as."""
    places = query.pairs
    if len(places) > details.MOST:
        raise Invalid.field("/places", f"must be {details.MOST} at most; got {len(places)}")
    found = maps.find(session, path.atlas, path.version, by=reader(), planning=False)
    units = details.units(session, path.atlas, path.version, places, _whole(found).layers, by=reader())
    return MappedUnits(data=[MappedUnit.of(unit, found.network) for unit in units])


def _whole(found: ShownMap) -> Map:
    """Raises the 404 problem while there is none."""
    if found.map is None:
        again = {"Retry-After": str(AGAIN_SECONDS)} if found.coming else {}
        raise Problem(problem_types.NO_PICTURE, found.problem or "There is no map of it yet.", headers=again)
    return found.map


def _freshness(found: ShownMap, version: str, *, named: bool) -> Freshness:
    """Points that are named never change; a number names a version for good. Who may read can change."""
    if named:
        return Freshness(_FOREVER_SECONDS, immutable=True, is_personal=not found.public)
    if found.settled and version.isdigit():
        return Freshness(_LASTING_SECONDS, is_personal=not found.public)
    return PERSONAL


def _shown(found: ShownMap) -> Answer:
    again = AGAIN_SECONDS if found.map is None and found.coming else None
    return accepted(AtlasMap.of(found, EYE), again, ring=Lane.BULK if found.coming else None)
