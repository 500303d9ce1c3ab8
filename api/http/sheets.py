"""Parts of sheets as answers: for how long they may be kept, and what is answered while there is none."""

from api.auth import reader
from api.context import context
from api.http.caching import PERSONAL, Freshness
from api.http.objects import StoredObject
from api.problems import problem_types
from api.problems.problems import Problem
from services.base.errors import NotFound
from services.base.states import Lane
from services.pictures.losses import Subject
from services.sheets import sheets
from services.sheets.layout import Place
from services.sheets.sheets import Sheet, ShownSheet

AGAIN_SECONDS = 5
"""When to ask again for a sheet that is being made."""
_LASTING_SECONDS = 3600
MEDIA_TYPE = "image/jpeg"


def whole(id: str, version: str, layer: str | None) -> tuple[ShownSheet, Sheet]:
    """A sheet of which something is asked for. Raises the 404 problem while there is none."""
    with context().database.session() as session:
        found = sheets.find(session, id, version, layer, by=reader(), planning=False)
    if found.sheet is None:
        with context().database.session() as session:
            sheets.find(session, id, version, layer, by=reader())
        context().doorbell.ring(Lane.BULK)
        raise Problem(
            problem_types.NO_PICTURE,
            found.problem or "The sheet is being made.",
            headers={"Retry-After": str(AGAIN_SECONDS)},
        )
    return found, found.sheet


def freshness(found: ShownSheet, version: str) -> Freshness:
    """What a number names and was published lasts; who may read it can be changed."""
    if not (found.settled and version.isdigit()):
        return PERSONAL
    return Freshness(_LASTING_SECONDS, is_personal=not found.public)


def picture(id: str, version: str, layer: str | None) -> StoredObject:
    """All of a sheet in one picture."""
    found, sheet = whole(id, version, layer)
    return StoredObject(
        sheet.picture_object,
        f"{layer or 'poster'}.jpg",
        Subject("sheet", sheet.name),
        freshness(found, version),
        media_type=MEDIA_TYPE,
    )


def tile(id: str, version: str, layer: str | None, place: Place) -> StoredObject:
    """A tile of a sheet. Raises `NotFound`."""
    found, sheet = whole(id, version, layer)
    with context().database.session() as session:
        key = sheets.tile(session, sheet, place)
    return StoredObject(
        key,
        "{}_{}_{}.jpg".format(*place),
        Subject("tile", "{}/{}/{}/{}".format(sheet.name, *place)),
        freshness(found, version),
        media_type=MEDIA_TYPE,
    )


def place_of(level: int, tile: str) -> Place:
    """The tile of an address, as in `3/0_1`."""
    column, _, row = tile.partition("_")
    if not (column.isdigit() and row.isdigit()):
        raise NotFound("tile", tile)
    return Place(level, int(column), int(row))
