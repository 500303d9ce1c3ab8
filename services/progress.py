"""How far jobs are. Counted from the rows of their items while they are open, fixed when they end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.schema import JobRow, JobState, Lane

COUNT_CAP = 100_000
"""Queues are counted up to here; beyond it nobody needs the exact figure."""


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
    """`rate` is items a second over the last minute; `eta_seconds` is None where there is nothing to tell it
    from.
    """

    id: str
    state: JobState
    lane: Lane
    request: Mapping[str, Any]
    owner_key_id: str | None
    units: Units
    rate: float | None
    eta_seconds: float | None
    queue: QueuePlace | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    errors: tuple[ErrorSummary, ...]

    @property
    def ended(self) -> bool:
        return self.finished_at is not None


# An item that another job still wants goes on after this one is canceled; to this one it is canceled.
COUNTS = """
    SELECT jobs.id,
        count(*) AS total,
        count(*) FILTER (WHERE v.state = 'done') AS done,
        count(*) FILTER (WHERE v.state = 'failed') AS failed,
        count(*) FILTER (WHERE v.state = 'unreachable') AS unreachable,
        count(*) FILTER (WHERE v.state = 'canceled' OR dropped AND v.state IN ('queued', 'leased')) AS
        canceled, count(*) FILTER (WHERE v.state = 'queued' AND NOT dropped) AS queued,
        count(*) FILTER (WHERE v.state = 'leased' AND NOT dropped) AS leased,
        count(*) FILTER (
            WHERE v.state IN ('done', 'failed', 'unreachable')
            AND v.finished_at >= now() - window_length
        ) AS recent,
        extract(epoch FROM min(window_length))::float AS window_seconds
    FROM jobs
    JOIN job_visualizations jv ON jv.job_id = jobs.id
    JOIN visualizations v ON v.digest = jv.digest
    CROSS JOIN LATERAL (
        SELECT jobs.state IN ('canceling', 'canceled') AS dropped,
            least(interval '1 minute', now() - coalesce(jobs.started_at, jobs.created_at)) AS window_length
    ) AS job
    WHERE jobs.id = ANY(CAST(:ids AS text[]))
    GROUP BY jobs.id
"""
_COUNT = text(COUNTS)

_ERRORS = text("""
    SELECT jv.job_id, v.error->>'code' AS code, count(*) AS count, min(v.error->>'message') AS message
    FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
    WHERE jv.job_id = ANY(CAST(:ids AS text[])) AND v.state = 'failed'
    GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
""")
_FIRST_TURN = text("""
    SELECT min(v.queue_order) FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
    WHERE jv.job_id = :id AND v.state = 'queued'
""")
_AHEAD = text("""
    SELECT count(*) FROM (
        SELECT 1 FROM visualizations
        WHERE state = 'queued' AND lane = :lane AND queue_order < :turn LIMIT :cap
    ) AS ahead
""")
_POSITION = text("""
    SELECT count(*) FROM (
        SELECT 1 FROM jobs WHERE state IN ('queued', 'running')
        AND (lane = :lane AND id < :id OR lane = 'interactive' AND :lane = 'bulk') LIMIT :cap
    ) AS ahead
""")
_SERVICE_RATE = text(
    "SELECT coalesce(sum(settled), 0) / 60.0 FROM leases WHERE ended_at > now() - interval '1 minute'"
)


def service_rate(session: Session) -> float:
    """Items a second that all workers together ended over the last minute."""
    return float(session.execute(_SERVICE_RATE).scalar_one())


def views(session: Session, rows: Sequence[JobRow]) -> list[JobView]:
    """The jobs as readers see them: two queries however many they are, and three more a job that is
    queued.
    """
    ids = [row.id for row in rows]
    open_ids = [row.id for row in rows if row.counts is None]
    counted = {c["id"]: c for c in session.execute(_COUNT, {"ids": open_ids}).mappings()} if open_ids else {}
    errors: dict[str, list[ErrorSummary]] = {}
    for job_id, code, count, message in session.execute(_ERRORS, {"ids": ids}) if ids else ():
        if len(errors.setdefault(job_id, [])) < 5:
            errors[job_id].append(ErrorSummary(code, count, message))
    return [_view(session, row, counted.get(row.id), tuple(errors.get(row.id, ()))) for row in rows]


def _view(
    session: Session, row: JobRow, counted: Mapping[Any, Any] | None, errors: tuple[ErrorSummary, ...]
) -> JobView:
    state, lane = JobState(row.state), Lane(row.lane)
    figures: Mapping[Any, Any] = row.counts or counted or {}
    names = ("total", "done", "failed", "unreachable", "canceled", "queued", "leased")
    units = Units(**{name: figures[name] for name in names}, cached=row.cached)
    rate = eta = None
    place = _place(session, row) if state == JobState.QUEUED else None
    if counted is not None and counted["recent"]:
        rate = counted["recent"] / max(counted["window_seconds"], 1.0)
    left = units.queued + units.leased
    if rate and left:
        eta = left / rate
    elif place is not None and (overall := service_rate(session)) > 0:
        eta = (place.ahead_units + left) / overall
    return JobView(
        row.id,
        state,
        lane,
        row.request,
        row.owner_key_id,
        units,
        rate,
        eta,
        place,
        row.created_at,
        row.started_at,
        row.finished_at,
        errors,
    )


def _place(session: Session, row: JobRow) -> QueuePlace:
    turn = session.execute(_FIRST_TURN, {"id": row.id}).scalar_one()
    ahead = 0
    if turn is not None:
        ahead = session.execute(_AHEAD, {"lane": row.lane, "turn": turn, "cap": COUNT_CAP}).scalar_one()
        if row.lane == Lane.BULK:
            every = {"lane": Lane.INTERACTIVE, "turn": 2**63 - 1, "cap": COUNT_CAP}
            ahead += session.execute(_AHEAD, every).scalar_one()
    position = session.execute(_POSITION, {"id": row.id, "lane": row.lane, "cap": COUNT_CAP}).scalar_one()
    return QueuePlace(position, ahead)
