"""The list of atlases."""

from dataclasses import dataclass

from flask import Response, request

from api.auth import reader, requires
from api.context import context
from api.operations.pagination import next_path
from api.schemas.atlases import Atlas
from api.web.site import blueprint, page
from api.web.strips import Glimpse, strip_of
from services.atlases import atlases

ATLASES_A_PAGE = 24


@dataclass(frozen=True)
class Card:
    """An atlas in the list, with a few of its pictures."""

    atlas: Atlas
    strip: tuple[Glimpse, ...]


@blueprint.get("/atlases")
@requires("read")
def list_of_atlases() -> Response:
    """Atlases, the newest first; those of a `network`."""
    network, cursor = request.args.get("network"), request.args.get("cursor")
    with context().database.session() as session:
        found = atlases.list(session, by=reader(), network=network, cursor=cursor, limit=ATLASES_A_PAGE)
        cards = [Card(Atlas.of(atlas), strip_of(session, atlas)) for atlas in found.data]
    return page(
        "atlases/atlases.html",
        section="atlases",
        cards=cards,
        network=network,
        next=next_path(found.next_cursor) if found.next_cursor else None,
    )
