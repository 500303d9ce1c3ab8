"""The networks that can be explained, each with pictures of what its units want to see."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response, request
from sqlalchemy.orm import Session

from api.auth import principal, reader, requires
from api.context import context
from api.operations.pagination import next_path
from api.web.addresses import ServerAddresses
from api.web.glimpses import ShownGlimpse, shown_glimpses
from api.web.shown import ANY, reference
from api.web.site import blueprint, page, see
from services.access.ownership import may_change
from services.base.paging import Page
from services.catalog import removal
from services.catalog.networks import Network, list_networks
from services.catalog.tables import NetworkRow
from services.grids.overviews import Overview, overviews

NETWORKS_A_PAGE, NOT_READY_SHOWN, POSTER = 24, 100, 6


@dataclass(frozen=True)
class Card:
    """A network in the list, with a poster of some pictures; `more` are for a page that shows them large."""

    overview: Overview
    href: str
    poster: Sequence[ShownGlimpse]
    more: Sequence[ShownGlimpse]


@dataclass(frozen=True)
class Registration:
    """A network that cannot be explained, not yet or not at all. `removable`: the reader may remove it."""

    network: Network
    removable: bool


@blueprint.get("/networks")
@requires("read")
def networks() -> Response:
    """Networks by id; those that are not ready apart, on the first page, however many come before them, and
    from there on pages of their own (`not_ready`, a cursor)."""
    cursor, after = request.args.get("cursor"), request.args.get("not_ready")
    with context().database.session() as session:
        found: Page[Network] = Page((), None)
        if after is None:
            found = list_networks(session, ready=True, cursor=cursor, limit=NETWORKS_A_PAGE)
        cards = cards_of(session, found.data)
        waiting = Page((), None) if cursor else not_ready(session, after)
        others = [_registration(session, each) for each in waiting.data]
    return page(
        "networks/networks.html",
        section="networks",
        cards=cards,
        others=others,
        others_next=waiting.next_cursor,
        next=next_path(found.next_cursor) if found.next_cursor else None,
    )


@blueprint.post("/networks/<network>/remove")
@requires("jobs:write")
def remove_network(network: str) -> Response:
    """Remove a network that nothing needs, and show those that are left."""
    with context().database.session() as session:
        removal.remove_network(session, network, by=principal())
    return see(ServerAddresses().page("networks"))


def not_ready(session: Session, cursor: str | None = None) -> Page[Network]:
    """Networks that cannot be explained, not yet or not at all, by id."""
    return list_networks(session, ready=False, cursor=cursor, limit=NOT_READY_SHOWN)


def cards_of(session: Session, networks: Sequence[Network], more: int = 0) -> Sequence[Card]:
    """A card of each network that is ready, with so many pictures more than its poster has."""
    address = ServerAddresses()
    cards = []
    for overview in overviews(session, networks, by=reader(), pictures=POSTER + more):
        network = overview.network.id
        pictures = shown_glimpses(address, network, overview.poster, named(overview))
        cards.append(Card(overview, address.network(network), pictures[:POSTER], pictures[POSTER:]))
    return cards


def named(overview: Overview) -> str:
    """The parameter `atlas` of what an overview shows."""
    if overview.shown is None:
        return ANY
    return reference(overview.shown.atlas, overview.shown.number, overview.shown.published_at)


def _registration(session: Session, network: Network) -> Registration:
    row = session.get(NetworkRow, network.id)
    return Registration(network, row is not None and may_change(row.owner_key_id, reader()))
