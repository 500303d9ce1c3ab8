"""The queue as estimates see it: read at once, for any number of answers.

What it costs to read depends on the jobs that are open and on what workers hold, never on how many items
wait.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from services.base.states import LIVE_JOBS, Lane, listed
from services.estimates import costs
from services.estimates.cost_model import Kind
from services.estimates.estimates import Batch, Part, Queue, Waiting
from services.jobs.tables import JobRow
from services.queue.leases import HELD
from services.queue.liveness import ALIVE

JOBS_AT_MOST = 500
"""Jobs that are looked at, the next ones first; others are taken to be like them."""
COUNTED_AT_MOST = 10_000

_JOBS = text(f"""
    SELECT id, lane, turn, total, total - done - failed - unreachable - canceled AS unended, parts FROM jobs
    WHERE state IN {listed(LIVE_JOBS)} ORDER BY lane = 'bulk', turn LIMIT :limit
""")
_MORE_JOBS = text(f"""
    SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state IN {listed(LIVE_JOBS)} LIMIT :limit) AS open
""")
_HELD = text(f"""
    WITH held AS MATERIALIZED (
        SELECT digest, lease_id, batch_key, lane FROM visualizations
        WHERE {HELD} AND state = 'leased'
    )
    SELECT held.lease_id, held.batch_key, max(held.lane) AS lane, jv.job_id, count(*) AS items
    FROM held LEFT JOIN job_visualizations jv ON jv.digest = held.digest
    GROUP BY held.lease_id, held.batch_key, jv.job_id
""")
_LEASES = text("""
    SELECT leases.id, leases.items, leases.worker_id, workers.device,
        extract(epoch FROM clock_timestamp() - leases.created_at)::float AS elapsed
    FROM leases JOIN workers ON workers.id = leases.worker_id
    WHERE leases.id = ANY(CAST(:ids AS bigint[]))
""")
_WORKERS = text(f"SELECT device, count(*) AS workers FROM workers WHERE {ALIVE} GROUP BY device")


def parts_of(kinds: Mapping[str, Kind], batch_keys: Iterable[str]) -> dict[str, Any]:
    """What a job keeps to be estimated by: all its kinds by their batch keys, and how many items of which
    wait for its turn, in the order of the turn, given by the batch key of each.
    """
    return {
        "kinds": {
            key: {name: value for name, value in asdict(kind).items() if name != "batch_key"}
            for key, kind in kinds.items()
        },
        "runs": [[key, len(list(run))] for key, run in groupby(batch_keys)],
    }


def parts_again(parts: Mapping[str, Any] | None, batch_keys: Sequence[str]) -> dict[str, Any] | None:
    """The same of a job whose items wait once more; None where it has never told its kinds."""
    if parts is None:
        return None
    return parts_of(_kinds(parts), [key for key in batch_keys if key in parts["kinds"]])


def read(session: Session) -> Queue:
    """The queue at this moment. Of a job from before there was anything to estimate by, nothing is known."""
    rows = session.execute(_JOBS, {"limit": JOBS_AT_MOST}).all()
    unread = 1.0
    if len(rows) == JOBS_AT_MOST:
        unread = session.execute(_MORE_JOBS, {"limit": COUNTED_AT_MOST}).scalar_one() / len(rows)
    jobs = [_waiting(row, row.unended) for row in rows]
    kinds = {key: kind for row in rows if row.parts for key, kind in _kinds(row.parts).items()}
    workers = {row.device: row.workers for row in session.execute(_WORKERS)}
    found = session.execute(_HELD).all()
    batches = _batches(session, found, kinds)
    devices = sorted({*workers, *(batch.device for batch in batches)})
    known = costs.read(session, kinds.values(), devices)
    return Queue(workers, jobs, batches, _of_jobs(found), known, unread)


def held(session: Session) -> Mapping[str, int]:
    """How many items workers have of each job, by its id."""
    return _of_jobs(session.execute(_HELD).all())


def _of_jobs(held: Sequence[Row[Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in held:
        if row.job_id is not None:
            found[row.job_id] += row.items
    return found


def with_costs(session: Session, queue: Queue, kinds: Collection[Kind]) -> Queue:
    """The same queue, which knows of these kinds too what they cost."""
    devices = sorted({*queue.workers, *(batch.device for batch in queue.batches)})
    known = {part.kind for job in queue.jobs for part in job.parts}
    known |= {batch.kind for batch in queue.batches}
    return replace(queue, costs=costs.read(session, [*known, *kinds], devices))


def waiting(row: JobRow) -> Waiting:
    """A job as estimates see it."""
    left = row.total - row.done - row.failed - row.unreachable - row.canceled
    return _waiting(row, left)


def _waiting(row: JobRow | Row[Any], left: int) -> Waiting:
    return Waiting(row.id, Lane(row.lane), row.turn, row.turn + row.total, left, _parts(row.parts))


def _kinds(parts: Mapping[str, Any]) -> dict[str, Kind]:
    return {key: Kind(batch_key=key, **kind) for key, kind in parts["kinds"].items()}


def _parts(parts: Mapping[str, Any] | None) -> list[Part]:
    if parts is None:
        return []
    kinds = _kinds(parts)
    return [Part(kinds[key], items) for key, items in parts["runs"]]


def _batches(session: Session, held: Sequence[Any], kinds: Mapping[str, Kind]) -> list[Batch]:
    mine: dict[int, dict[str, int]] = {}
    of_lease: dict[int, Any] = {}
    for row in held:
        of_lease[row.lease_id] = row
        if row.job_id is not None:
            mine.setdefault(row.lease_id, {})[row.job_id] = row.items
    if not of_lease:
        return []
    leases = session.execute(_LEASES, {"ids": list(of_lease)}).all()
    # Who claims again in a lane has computed the batch before; a batch of the other lane is interrupted.
    newest: dict[tuple[str, str], int] = {}
    for lease in leases:
        of_lane = lease.worker_id, of_lease[lease.id].lane
        newest[of_lane] = max(newest.get(of_lane, 0), lease.id)
    return [
        Batch(
            kinds[of_lease[lease.id].batch_key],
            lease.device,
            lease.items,
            lease.elapsed,
            lease.id < newest[lease.worker_id, of_lease[lease.id].lane],
            mine.get(lease.id, {}),
        )
        for lease in leases
        if of_lease[lease.id].batch_key in kinds
    ]
