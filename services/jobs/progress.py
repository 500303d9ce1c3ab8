"""How far jobs are, as readers see them. What a view costs does not depend on how many items a job has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.techniques.dgn_am import DIRECTION
from services.base.states import LIVE_JOBS, JobState, Lane, listed
from services.catalog import looks
from services.catalog.looks import Asked, UnderWay
from services.estimates import forecast, rates
from services.estimates.cost_model import Seconds
from services.estimates.estimates import Queue
from services.jobs.tables import JobRow

COUNT_CAP = 10_000
"""What goes before a job is counted up to here; beyond it nobody needs the exact figure."""
_NO_TURN = 2**63 - 1
"""After all turns."""


@dataclass(frozen=True)
class Units:
    """Items of a job by what became of them; all but `cached` add up to `total`.

    `cached` counts those that were done or unreachable before the job was submitted.
    """

    total: int
    done: int
    failed: int
    unreachable: int
    canceled: int
    queued: int
    leased: int
    cached: int


@dataclass(frozen=True)
class QueuePlace:
    """`position` jobs go first (0: this one is next), with `ahead_units` items, counted up to `COUNT_CAP`."""

    position: int
    ahead_units: int


@dataclass(frozen=True)
class ErrorSummary:
    """How many items failed with one code, and the message of one of them."""

    code: str
    count: int
    message: str


@dataclass(frozen=True)
class JobView:
    """`rate` is items a second over about the last minute; `eta` is None where nothing tells it. `look` is
    how far a worker is that looks at the network first, where pictures of the job need that.
    `atlas_no` is that of the atlas which it is a part of, None where it is a part of none.
    """

    id: str
    state: JobState
    lane: Lane
    request: Mapping[str, Any]
    owner_key_id: str | None
    units: Units
    rate: float | None
    eta: Seconds | None
    look: UnderWay | None
    queue: QueuePlace | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    errors: tuple[ErrorSummary, ...]
    atlas_no: int | None

    @property
    def ended(self) -> bool:
        """Whether nothing of it waits or is being computed."""
        return self.finished_at is not None


# What goes before each of some turns, which ascend: counted in one look at the first ones of the lane,
# however many jobs are asked for.
_AHEAD = text("""
    SELECT width_bucket(queue_order, CAST(:turns AS bigint[])) AS turns_reached, count(*) AS items FROM (
        SELECT queue_order FROM visualizations
        WHERE state = 'queued' AND lane = :lane ORDER BY queue_order LIMIT :cap
    ) AS first GROUP BY turns_reached
""")
_JOBS_AHEAD = text(f"""
    SELECT width_bucket(turn, CAST(:turns AS bigint[])) AS turns_reached, count(*) AS items FROM (
        SELECT turn FROM jobs
        WHERE state IN {listed(LIVE_JOBS)} AND lane = :lane ORDER BY turn LIMIT :cap
    ) AS first GROUP BY turns_reached
""")
_SERVICE_RATE = text(
    "SELECT coalesce(sum(settled), 0) / 60.0 FROM leases"
    " WHERE kind = 'batch' AND ended_at > now() - interval '1 minute'"
)


def service_rate(session: Session) -> float:
    """Items a second that all workers together ended over the last minute."""
    return float(session.execute(_SERVICE_RATE).scalar_one())


def views(session: Session, rows: Sequence[JobRow]) -> list[JobView]:
    """The jobs as readers see them."""
    queue = forecast.read(session) if any(row.state in LIVE_JOBS for row in rows) else None
    now = session.execute(sa.select(sa.func.now())).scalar_one()
    places = _places(session, [row for row in rows if row.state == JobState.QUEUED])
    looking = _looks(session, [row for row in rows if row.state in LIVE_JOBS])
    return [
        _view(row, queue if row.state in LIVE_JOBS else None, looking.get(row.id), places.get(row.id), now)
        for row in rows
    ]


def _looks(session: Session, rows: Sequence[JobRow]) -> Mapping[str, UnderWay]:
    """How far workers are that look at the networks of these jobs, by the jobs' ids."""
    waiting = {
        row.id: Asked(str(row.request["network"]), str(row.request["generator"]))
        for row in rows
        if _begins_with_a_look(row.request)
    }
    found = looks.under_way(session) if waiting else {}
    return {id: found[asked] for id, asked in waiting.items() if asked in found}


def _begins_with_a_look(request: Mapping[str, Any]) -> bool:
    recipes = [target.get("recipe") or {} for target in request.get("targets", ())]
    return any((recipe.get("parameters") or {}).get("start") == DIRECTION for recipe in recipes)


def _view(
    row: JobRow, queue: Queue | None, look: UnderWay | None, place: QueuePlace | None, now: datetime
) -> JobView:
    """`queue` is there for a job that goes on, `place` for one that waits."""
    leased = queue.held.get(row.id, 0) if queue else 0
    left = row.total - row.done - row.failed - row.unreachable - row.canceled
    units = Units(
        total=row.total,
        done=row.done,
        failed=row.failed,
        unreachable=row.unreachable,
        canceled=row.canceled,
        queued=left - leased,
        leased=leased,
        cached=row.cached,
    )
    rate = eta = None
    if queue:
        rate = rates.current(row.rate, row.rate_at, row.started_at or row.created_at, now)
        eta = queue.until_done(forecast.waiting(row))
    return JobView(
        row.id,
        JobState(row.state),
        Lane(row.lane),
        row.request,
        row.owner_key_id,
        units,
        rate,
        eta,
        look,
        place,
        row.created_at,
        row.started_at,
        row.finished_at,
        _errors(row),
        row.atlas_no,
    )


def _errors(row: JobRow) -> tuple[ErrorSummary, ...]:
    found = [ErrorSummary(code, error["count"], error["message"]) for code, error in row.errors.items()]
    return tuple(sorted(found, key=lambda error: (-error.count, error.code)))


def _places(session: Session, rows: Sequence[JobRow]) -> Mapping[str, QueuePlace]:
    """Where jobs that wait stand, by their ids. Ahead is what has its turn before the first item of the job,
    and for bulk all that is interactive.
    """
    found: dict[str, QueuePlace] = {}
    for lane in {row.lane for row in rows}:
        here = sorted((row for row in rows if row.lane == lane), key=lambda row: row.turn)
        turns = [row.turn for row in here]
        items, jobs = _before(session, _AHEAD, lane, turns), _before(session, _JOBS_AHEAD, lane, turns)
        if lane == Lane.BULK:
            (all_items,) = _before(session, _AHEAD, Lane.INTERACTIVE, [_NO_TURN])
            (all_jobs,) = _before(session, _JOBS_AHEAD, Lane.INTERACTIVE, [_NO_TURN])
            items = [before + all_items for before in items]
            jobs = [min(before + all_jobs, COUNT_CAP) for before in jobs]
        for row, position, ahead in zip(here, jobs, items, strict=True):
            found[row.id] = QueuePlace(position, ahead)
    return found


def _before(session: Session, statement: sa.TextClause, lane: str, turns: Sequence[int]) -> list[int]:
    """How many of a lane have their turn before each of these, which ascend; counted up to `COUNT_CAP`."""
    given = {"lane": lane, "turns": list(turns), "cap": COUNT_CAP}
    counts = {row.turns_reached: row.items for row in session.execute(statement, given)}
    return [sum(counts.get(reached, 0) for reached in range(number + 1)) for number in range(len(turns))]
