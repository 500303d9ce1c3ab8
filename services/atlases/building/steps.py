"""Carry out the next step of what is wanted of an atlas: publish, choose among candidates, make jobs,
withdraw them, queue them again, delete.

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

from services.atlases.building.choosing import choose
from services.atlases.building.chunks import Expanded, expand_chunk
from services.atlases.building.deletion import delete_some
from services.atlases.building.replanning import replan
from services.atlases.publishing import publish_slice
from services.atlases.tables import AtlasRow
from services.atlases.versions import open_version
from services.base.database import Database
from services.base.states import LIVE_JOBS, AtlasWish, State, listed
from services.catalog.networks import get_network
from services.jobs.requeuing import requeue
from services.jobs.withdrawal import withdraw

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
_ANY_UNDECIDED = text("SELECT FROM jobs WHERE atlas_no = :no AND undecided LIMIT 1")
_FAILED = text("SELECT id FROM jobs WHERE atlas_no = :no AND failed > 0 AND id > :after ORDER BY id LIMIT 1")

_KEPT_AS = "place"  # the key that earlier releases wrote


@dataclass(frozen=True)
class JobCursor:
    """How far a round over the jobs of an atlas is: those up to the id `after` were seen since `wish`."""

    wish: str = ""
    after: str = ""

    @classmethod
    def kept(cls, payload: Mapping[str, Any]) -> "JobCursor":
        """Where the slice before this one ended, by the payload of the chore."""
        return cls(**payload.get(_KEPT_AS, {}))

    def to_keep(self) -> Mapping[str, Any]:
        """Members of the payload from which the next slice goes on. Jobs are taken up again from the first
        one on each time: the atlas may have been paused meanwhile, and those that were seen let go again."""
        return {_KEPT_AS: vars(JobCursor() if self.wish == AtlasWish.BUILD else self)}


@dataclass(frozen=True)
class Step:
    """What follows: the next step in `wait` seconds, none where that is None. `cursor` is for the next one.
    `queued`: there may be pictures to be claimed that were not there before."""

    cursor: JobCursor
    wait: float | None = 0.0
    queued: bool = False

    @property
    def follows_at_once(self) -> bool:
        """Whether there is more to be done now."""
        return self.wait == 0.0


def step(session: Session, atlas_id: str, cursor: JobCursor) -> Step:
    """Do the next thing that is wanted of an atlas, in the caller's transaction.

    Locks items and jobs, so call it once in a transaction.
    """
    locking = sa.select(AtlasRow).where(AtlasRow.id == atlas_id).with_for_update(key_share=True)
    row = session.scalars(locking.execution_options(populate_existing=True)).first()
    if row is None:
        return Step(cursor, None)
    if cursor.wish != row.wish:
        cursor = JobCursor(row.wish)
    if row.wish == AtlasWish.DELETE:
        return Step(cursor, 0.0 if delete_some(session, row) else None)
    version = open_version(session, row.no)
    if version.publishing is not None:
        # Before all else, so that nothing joins the version meanwhile.
        publish_slice(session, row, version)
        return Step(cursor)
    if choose(session, row, version):
        return Step(cursor)
    if row.wish != AtlasWish.BUILD:
        return _let_go(session, row, cursor)
    if job := _job(session, _LET_GO, row, cursor.after):
        requeue(session, job, [State.CANCELED])
        return Step(JobCursor(row.wish, job), queued=True)
    if row.retry_after is not None:
        if not get_network(session, row.network_id).is_current:
            return Step(cursor, INSPECTED_SECONDS)  # only then it is known what is to be planned anew
        job = _job(session, _FAILED, row, row.retry_after)
        if job and replan(session, row, job):
            # What else has failed of the same job is the next step's.
            return Step(cursor, queued=True)
        if job:
            requeue(session, job, [State.FAILED])
        row.retry_after = job
        return Step(cursor, queued=job is not None)
    match expand_chunk(session, row):
        case Expanded.SOME:
            return Step(cursor, queued=True)
        case Expanded.WAITS:
            return Step(cursor, INSPECTED_SECONDS)
        case Expanded.ALL:
            return Step(cursor, DECIDED_SECONDS if _to_be_chosen(session, row) else None)


def _let_go(session: Session, row: AtlasRow, cursor: JobCursor) -> Step:
    job = _job(session, _LIVE, row, cursor.after)
    if job:
        withdraw(session, job)
        return Step(JobCursor(row.wish, job))
    goes_on = _job(session, _LIVE, row, "") or _to_be_chosen(session, row)
    return Step(JobCursor(), STILL_COMPUTED_SECONDS if goes_on else None)


def _to_be_chosen(session: Session, row: AtlasRow) -> bool:
    """Whether a job has ended since this step began, or is going to, of whose candidates the best is to be
    shown."""
    return session.execute(_ANY_UNDECIDED, {"no": row.no}).first() is not None


def _job(session: Session, query: sa.TextClause, row: AtlasRow, after: str) -> str | None:
    found: str | None = session.execute(query, {"no": row.no, "after": after}).scalar()
    return found


def let_go_at_once(database: Database, atlas_id: str, *, seconds: float) -> None:
    """Let go of what waits of an atlas that was paused, canceled or deleted a moment ago, for so many seconds
    at most: workers do the rest.
    """
    until, cursor, goes_on = time.monotonic() + seconds, JobCursor(), True
    while goes_on and time.monotonic() < until:
        with database.session() as session:
            wish = session.scalar(sa.select(AtlasRow.wish).where(AtlasRow.id == atlas_id))
            if wish in (None, AtlasWish.BUILD):
                return
            done = step(session, atlas_id, cursor)
        cursor, goes_on = done.cursor, done.follows_at_once
