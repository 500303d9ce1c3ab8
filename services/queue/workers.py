"""Who works, and how much waits for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.base.plain_text import told
from services.base.states import LIVE_JOBS, Lane, listed
from services.estimates import forecast
from services.estimates.cost_model import Seconds
from services.jobs.progress import service_rate
from services.queue.leases import HELD
from services.queue.liveness import ALIVE, LOST
from services.queue.tables import WorkerRow

COUNTED_AT_MOST = 10_000
"""Items of a lane that are counted one by one; of more the jobs tell how many."""

WorkerState = Literal["idle", "working", "waiting", "lost", "stopped"]


@dataclass(frozen=True)
class Worker:
    """`state`: working while it holds a lease, waiting while it takes none for the `reason` that it gives,
    lost when it was not seen for some heartbeats, stopped when it said so."""

    id: str
    host: str
    device: str
    state: WorkerState
    started_at: datetime
    seen_at: datetime
    reason: str | None


@dataclass(frozen=True)
class LaneDepth:
    """Items of one lane. Where more than `COUNTED_AT_MOST` wait, `queued` is what its jobs have left, in
    which an item that two of them want counts twice."""

    lane: Lane
    queued: int
    leased: int


@dataclass(frozen=True)
class TrainingsDepth:
    """Trainings that wait, those that a worker has, and how many of the workers have a data root."""

    queued: int
    running: int
    workers: int


@dataclass(frozen=True)
class QueueSummary:
    """`workers` are those idle or working; `rate` is items a second over the last minute, by all of them.

    `eta` is None where nothing tells it: nobody works, or nothing was ever done. `known` are those seen
    within the hour that did not stop.
    """

    lanes: tuple[LaneDepth, ...]
    trainings: TrainingsDepth
    workers: int
    rate: float
    eta: Seconds | None
    known: tuple[Worker, ...]


_QUEUED = text("""
    SELECT count(*) FROM (
        SELECT 1 FROM visualizations WHERE state = 'queued' AND lane = :lane LIMIT :most
    ) AS queued
""")
_LEFT = text(f"""
    SELECT lane, sum(total - done - failed - unreachable - canceled) AS items FROM jobs
    WHERE state IN {listed(LIVE_JOBS)} GROUP BY lane
""")
_LEASED = text(f"""
    SELECT lane, count(*) AS items FROM visualizations
    WHERE {HELD} AND state = 'leased' GROUP BY lane
""")
_WORKERS = text(f"""
    SELECT id, host, device, started_at, seen_at, CASE WHEN state = 'running' THEN reason END AS reason,
        CASE WHEN state = 'stopped' THEN 'stopped'
            WHEN {LOST} THEN 'lost'
            WHEN EXISTS (
                SELECT 1 FROM leases
                WHERE worker_id = workers.id AND ended_at IS NULL AND kind IN ('batch', 'training')
            ) THEN 'working'
            WHEN reason IS NOT NULL THEN 'waiting'
            ELSE 'idle' END AS state
    FROM workers WHERE seen_at > now() - make_interval(hours => :hours)
    ORDER BY state = 'stopped', id
""")
_ALIVE = text(f"""
    SELECT count(*) AS workers, count(*) FILTER (WHERE has_data_root) AS trainers FROM workers WHERE {ALIVE}
""")
_DRAW = text(f"SELECT bool_or(draws_maps) FROM workers WHERE {ALIVE}")
_LACK = text("""
    UPDATE workers SET lacks = array_remove(lacks, CAST(:lack AS text)) || CAST(:lack AS text)
    WHERE id = :worker
""")
_OTHERS = text(f"""
    SELECT FROM workers WHERE {ALIVE} AND id <> :worker AND NOT CAST(:lack AS text) = ANY(lacks) LIMIT 1
""")
_TRAININGS = text("""
    SELECT count(*) FILTER (WHERE state = 'queued') AS queued,
        count(*) FILTER (WHERE state <> 'queued') AS running
    FROM trainings WHERE state IN ('queued', 'running', 'canceling')
""")


def register(
    session: Session,
    worker_id: str,
    *,
    host: str,
    device: str,
    has_data_root: bool = False,
    draws_maps: bool = False,
    heartbeat_seconds: float = 10,
) -> None:
    """Note that a worker has started, and how often it will be `seen`. The same id again is the same worker,
    started again."""
    values = {
        "host": host,
        "device": device,
        "state": "running",
        "has_data_root": has_data_root,
        "draws_maps": draws_maps,
        "heartbeat_seconds": heartbeat_seconds,
    }
    now = {"started_at": sa.func.now(), "seen_at": sa.func.now()}
    session.execute(
        insert(WorkerRow)
        .values(id=worker_id, **values)
        .on_conflict_do_update(index_elements=[WorkerRow.id], set_={**values, **now})
    )


def seen(
    session: Session,
    worker_id: str,
    *,
    has_data_root: bool = False,
    reason: str | None = None,
    lacks: Collection[str] = (),
) -> None:
    """Note that a registered worker is alive, whether it sees pictures now (folders are mounted late), the
    `reason`, for people, why it takes no work or not all, if there is one, and what it `lacks`."""
    reason = None if reason is None else told(reason)
    values = {"has_data_root": has_data_root, "reason": reason, "lacks": [*lacks]}
    _update(session, worker_id, seen_at=sa.func.now(), **values)


def others_may_have(session: Session, worker_id: str, lack: str) -> bool:
    """Note that a worker lacks something that its work needs; whether another one that lives may have it."""
    noted = {"worker": worker_id, "lack": lack}
    session.execute(_LACK, noted)
    return session.execute(_OTHERS, noted).first() is not None


def stopped(session: Session, worker_id: str) -> None:
    """Note that a worker has stopped in good order."""
    _update(session, worker_id, seen_at=sa.func.now(), state="stopped")


def _update(session: Session, worker_id: str, **values: object) -> None:
    session.execute(
        sa.update(WorkerRow)
        .where(WorkerRow.id == worker_id)
        .values(values)
        .execution_options(synchronize_session=False)
    )


def queue(session: Session) -> QueueSummary:
    """What waits and who works, at this moment."""
    lanes = _lanes(session)
    rate = service_rate(session)
    alive = session.execute(_ALIVE).one()
    depth = session.execute(_TRAININGS).one()
    return QueueSummary(
        lanes,
        TrainingsDepth(depth.queued, depth.running, alive.trainers),
        alive.workers,
        rate,
        forecast.read(session).until_empty(),
        tuple(worker for worker in list(session, hours=1) if worker.state != "stopped"),
    )


def draw_maps(session: Session) -> bool | None:
    """Whether a worker that is there draws maps; None where none is there."""
    found: bool | None = session.execute(_DRAW).scalar_one()
    return found


def trainers(session: Session) -> int:
    """How many workers that are there take trainings."""
    return int(session.execute(_ALIVE).one().trainers)


def _lanes(session: Session) -> tuple[LaneDepth, ...]:
    leased = {row.lane: row.items for row in session.execute(_LEASED)}
    queued: dict[Lane, int] = {}
    for lane in Lane:
        counted = session.execute(_QUEUED, {"lane": lane, "most": COUNTED_AT_MOST + 1}).scalar_one()
        queued[lane] = counted
    if max(queued.values()) > COUNTED_AT_MOST:
        left = {row.lane: int(row.items) for row in session.execute(_LEFT)}
        for lane, counted in queued.items():
            if counted > COUNTED_AT_MOST:
                queued[lane] = max(left.get(lane, 0) - leased.get(lane, 0), counted)
    return tuple(LaneDepth(lane, queued[lane], leased.get(lane, 0)) for lane in Lane)


def list(session: Session, *, hours: int = 24) -> Sequence[Worker]:
    """Workers seen within the last hours, those that stopped last."""
    rows = session.execute(_WORKERS, {"hours": hours})
    return tuple(Worker(r.id, r.host, r.device, r.state, r.started_at, r.seen_at, r.reason) for r in rows)
