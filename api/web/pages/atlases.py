"""The list of atlases."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response, request

from api.auth import reader, requires
from api.context import context
from api.operations.pagination import next_path
from api.schemas.atlases import Atlas
from api.web import choices
from api.web.site import blueprint, page
from api.web.strips import strips_of_atlases
from services.atlases import atlases
from services.grids.strips import Glimpse

ATLASES_A_PAGE, STRIP = 24, 6


@dataclass(frozen=True)
class Card:
    """An atlas in the list, with a few of its pictures."""

    atlas: Atlas
    strip: Sequence[Glimpse]


@blueprint.get("/atlases")
@requires("read")
def list_of_atlases() -> Response:
    """Atlases, the newest first; those of a `network`, or one's own (`owner=me`)."""
    network, cursor, owner = request.args.get("network"), request.args.get("cursor"), choices.owner()
    with context().database.session() as session:
        found = atlases.list(
            session,
            by=reader(),
            network=network,
            owner=None if owner is None else owner.key_id,
            cursor=cursor,
            limit=ATLASES_A_PAGE,
        )
        strips = strips_of_atlases(session, found.data, STRIP)
        cards = [Card(Atlas.of(atlas), strip) for atlas, strip in zip(found.data, strips, strict=True)]
    return page(
        "atlases/atlases.html",
        section="atlases",
        cards=cards,
        network=network,
        owner=owner,
        next=next_path(found.next_cursor) if found.next_cursor else None,
    )
