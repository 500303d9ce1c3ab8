"""Carry out what is wanted of an atlas, step by step: publish it, make its jobs, let go of them, take them up
again.

Each step is one short transaction that leaves everything true, so that whoever is killed loses nothing, and
any number of workers may do steps of one atlas: they wait for each other at its row.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.atlases.chunks import choose, expand_chunk
from services.atlases.creation import EXPAND, open_version
from services.atlases.deletion import delete_some
from services.atlases.publishing import publish_slice
from services.atlases.replanning import replan
from services.atlases.tables import AtlasRow
from services.base.database import Database
from services.base.states import LIVE_JOBS, AtlasWish, State, listed
from services.catalog.networks import get_network
from services.jobs.requeuing import requeue
from services.jobs.withdrawal import withdraw
from services.queue import chores

STILL_COMPUTED_SECONDS = 5.0
"""When to look again at an atlas that is paused while workers compute some of it: what they give back is let
go, too."""
DECIDED_SECONDS = 10.0
"""When to look again whether jobs have ended among whose candidates the atlas is to choose."""
INSPECTED_SECONDS = 15.0
"""When to look again at an atlas whose network is being inspected."""

_LIVE = text(f"""
    SELECT id FROM jobs WHERE atlas_no = :no AND state IN {listed(LIVE_JOBS)} AND id > :after
    ORDER BY id LIMIT 1
""")
_LET_GO = text(
    "SELECT id FROM jobs WHERE atlas_no = :no AND canceled > 0 AND id > :after ORDER BY id LIMIT 1"
)
_UNDECIDED = text("SELECT FROM jobs WHERE atlas_no = :no AND undecided LIMIT 1")
_FAILED = text("SELECT id FROM jobs WHERE atlas_no = :no AND failed > 0 AND id > :after ORDER BY id LIMIT 1")


@dataclass(frozen=True)
class Place:
    """How far a round over the jobs of an atlas is: those up to the id `after` were seen since `wish`."""

    wish: str = ""
    after: str = ""

    @classmethod
    def kept(cls, payload: Mapping[str, Any]) -> "Place":
        """Where the slice before this one ended, by the payload of the chore."""
        return cls(**payload.get("place", {}))

    def to_keep(self) -> Mapping[str, Any]:
        """Members of the payload from which the next slice goes on. Jobs are taken up again from the first
        one on each time: the atlas may have been paused meanwhile, and those that were seen let go again."""
        return {"place": vars(Place() if self.wish == AtlasWish.BUILD else self)}


@dataclass(frozen=True)
class Step:
    """What follows: the next step in `wait` seconds, none where that is None. `place` is for the next one.
    `queued`: there may be pictures to be claimed that were not there before."""

    place: Place
    wait: float | None = 0.0
    queued: bool = False

    @property
    def follows_at_once(self) -> bool:
        """Whether there is more to be done now."""
        return self.wait == 0.0


def step(session: Session, atlas_id: str, place: Place) -> Step:
    """Do the next thing that is wanted of an atlas, in the caller's transaction.

    Locks items and jobs, so call it once in a transaction.
    """
    locking = sa.select(AtlasRow).where(AtlasRow.id == atlas_id).with_for_update(key_share=True)
    row = session.scalars(locking.execution_options(populate_existing=True)).first()
    if row is None:
        return Step(place, None)
    if place.wish != row.wish:
        place = Place(row.wish)
    if row.wish == AtlasWish.DELETE:
        return Step(place, 0.0 if delete_some(session, row) else None)
    version = open_version(session, row.no)
    if version.publishing is not None:
        # Before all else, so that nothing joins the version meanwhile.
        publish_slice(session, row, version)
        return Step(place)
    if choose(session, row, version):
        return Step(place)
    if row.wish != AtlasWish.BUILD:
        return _let_go(session, row, place)
    if job := _job(session, _LET_GO, row, place.after):
        requeue(session, job, [State.CANCELED])
        return Step(Place(row.wish, job), queued=True)
    if row.retry_after is not None:
        if not _is_inspected(session, row):
            return Step(place, INSPECTED_SECONDS)  # only then it is known what is to be planned anew
        job = _job(session, _FAILED, row, row.retry_after)
        if job and replan(session, row, job):
            # What else has failed of the same job is the next step's.
            return Step(place, queued=True)
        if job:
            requeue(session, job, [State.FAILED])
        row.retry_after = job
        return Step(place, queued=job is not None)
    wait = expand_chunk(session, row)
    if wait is None and _to_be_chosen(session, row):
        wait = DECIDED_SECONDS
    elif wait:
        wait = INSPECTED_SECONDS
    return Step(place, wait, queued=wait == 0.0)


def _let_go(session: Session, row: AtlasRow, place: Place) -> Step:
    job = _job(session, _LIVE, row, place.after)
    if job:
        withdraw(session, job)
        return Step(Place(row.wish, job))
    goes_on = _job(session, _LIVE, row, "") or _to_be_chosen(session, row)
    return Step(Place(), STILL_COMPUTED_SECONDS if goes_on else None)


def _is_inspected(session: Session, row: AtlasRow) -> bool:
    network = get_network(session, row.network_id)
    return network.state == "ready" and not network.inspection_due


def _to_be_chosen(session: Session, row: AtlasRow) -> bool:
    """Whether a job has ended since this step began, or is going to, of whose candidates the best is to be
    shown."""
    return session.execute(_UNDECIDED, {"no": row.no}).first() is not None


def _job(session: Session, query: sa.TextClause, row: AtlasRow, after: str) -> str | None:
    found: str | None = session.execute(query, {"no": row.no, "after": after}).scalar()
    return found


def let_go_at_once(database: Database, atlas_id: str, *, seconds: float) -> None:
    """Let go of what waits of an atlas that was paused, canceled or deleted a moment ago, for so many seconds
    at most: workers do the rest.
    """
    until, place, wait = time.monotonic() + seconds, Place(), 0.0
    while wait == 0.0 and time.monotonic() < until:
        with database.session() as session:
            wish = session.scalar(sa.select(AtlasRow.wish).where(AtlasRow.id == atlas_id))
            if wish in (None, AtlasWish.BUILD):
                return
            done = step(session, atlas_id, place)
        place, wait = done.place, -1.0 if done.wait is None else done.wait


def plan(session: Session, atlas_id: str) -> None:
    """Have workers carry out what is wanted of it from now on. Call it before its row is locked: they hold
    what is planned first.
    """
    chores.hasten(session, EXPAND, atlas_id)
