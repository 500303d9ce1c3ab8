"""Queue items of a job again that failed or were canceled."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.errors import Conflict, NotFound
from services.base.states import LIVE_JOBS, JobState, State
from services.estimates import forecast
from services.jobs.job_counters import end_complete
from services.jobs.submission import requeue_ended, start_if_claimed
from services.jobs.tables import JobRow
from services.queue.queue_order import next_turn

WITHOUT_PICTURE = (State.FAILED, State.CANCELED)
"""States of items that can be queued again."""
OPEN = (State.QUEUED, State.LEASED)

LOCK_ITEMS = text("""
    SELECT v.digest, v.state, v.batch_key, jv.ordinal
    FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
    WHERE jv.job_id = :id AND v.state NOT IN ('done', 'unreachable')
    ORDER BY v.digest FOR NO KEY UPDATE OF v
""")
_COUNT_UNREACHABLE = text("""
    SELECT count(*) FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
    WHERE jv.job_id = :id AND v.state = 'unreachable'
""")


def requeue(session: Session, id: str, which: Collection[State] = WITHOUT_PICTURE) -> bool:
    """Queue the items of a job again that are in one of these states, with all their attempts. The job goes
    on if it had ended. False, and nothing changes, where there are none, unless it was canceled.

    Locks jobs, so call it once in a transaction. Raises `NotFound`, or `Conflict` while the job is being
    canceled.
    """
    locked = session.execute(LOCK_ITEMS, {"id": id}).all()
    # Whoever would change the job must hold one of these items, so it stays as it is read now.
    row = session.get(JobRow, id, populate_existing=True)
    if row is None:
        raise NotFound("job", id)
    if row.state == JobState.CANCELING:
        raise Conflict(f"The job {id} is being canceled; retry it once it is canceled.")
    chosen = [item for item in locked if item.state in which or item.state in OPEN]
    if row.state != JobState.CANCELED and not any(item.state in which for item in locked):
        return False
    turn = next_turn(session, row.lane, row.owner_key_id)
    turns = {item.digest: turn + item.ordinal for item in chosen}
    states, moved = requeue_ended(session, [item.digest for item in chosen], row.lane, turns)
    row = locked_job(session, id)
    if row.state not in LIVE_JOBS:
        left = [item.state for item in locked if item.state not in which]
        row.state, row.turn = JobState.QUEUED, turn
        row.undecided = row.atlas_no is not None and row.request.get("candidates", 1) > 1
        row.started_at = row.finished_at = row.rate = row.rate_at = None
        row.failed, row.canceled = left.count(State.FAILED), left.count(State.CANCELED)
        row.errors = row.errors if row.failed else {}
        moved_items = sorted((item for item in chosen if item.digest in moved), key=lambda item: item.ordinal)
        row.parts = forecast.parts_again(row.parts, [item.batch_key for item in moved_items])
        row.unreachable = session.execute(_COUNT_UNREACHABLE, {"id": id}).scalar_one()
        row.done = row.total - row.unreachable - len(locked)
        start_if_claimed(row, states.values())
        end_complete(session, [row])
    return True


def locked_job(session: Session, id: str) -> JobRow:
    """The job as it stands, held against its removal. Call it after its items are locked: whoever would
    change it otherwise must hold one of them. Raises `NotFound` where it was removed meanwhile.
    """
    row = session.get(JobRow, id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise NotFound("job", id, "Ids look like job_01j9… and are given by POST /v1/jobs.")
    return row
