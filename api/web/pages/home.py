"""The entrance: pictures at once, what there is, what is being made, and how to ask for more."""

from collections.abc import Sequence

from flask import Response
from sqlalchemy.orm import Session

from api.auth import may_read, reader, visitor
from api.context import context
from api.schemas.atlases import Atlas
from api.schemas.jobs import Job
from api.web.addresses import ServerAddresses
from api.web.glimpses import ShownGlimpse
from api.web.pages.networks.networks import Card, cards_of, not_ready
from api.web.site import page
from services.atlases import atlases
from services.catalog.networks import count_not_ready, list_networks
from services.jobs import jobs

JOBS_SHOWN, NETWORKS_SHOWN, ATLASES_LOOKED_AT, PICTURES_SHOWN = 5, 12, 12, 8


def home() -> Response:
    """Pictures, networks, atlases that are being built, the latest jobs, and how to submit one. Nothing of it
    where reading needs a key.
    """
    who = visitor()
    if not may_read(who, context().settings):
        return page("home.html", public=False, who=who)
    with context().database.session() as session:
        networks = list_networks(session, ready=True, limit=NETWORKS_SHOWN)
        cards = cards_of(session, networks.data, more=PICTURES_SHOWN)
        others = not_ready(session).data
        waiting = count_not_ready(session)
        building = _building(session)
        recent = [Job.of(job) for job in jobs.list(session, limit=JOBS_SHOWN).data]
    pictures = _pictures(cards)
    return page(
        "home.html",
        public=True,
        who=who,
        pictures=pictures,
        cards=cards,
        others=others,
        waiting=waiting,
        more=networks.next_cursor is not None,
        building=building,
        jobs=recent,
        card=ServerAddresses().picture(pictures[0].digest, 512) if pictures else None,
    )


def _building(session: Session) -> Sequence[Atlas]:
    newest = atlases.list(session, by=reader(), limit=ATLASES_LOOKED_AT).data
    return [Atlas.of(atlas) for atlas in newest if not atlas.ended]


def _pictures(cards: Sequence[Card]) -> Sequence[ShownGlimpse]:
    """Pictures of all networks, which take turns: those that no poster shows, where there are any."""
    strips = [card.more or card.poster for card in cards]
    longest = max(map(len, strips), default=0)
    return [strip[at] for at in range(longest) for strip in strips if at < len(strip)][:PICTURES_SHOWN]
