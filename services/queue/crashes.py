"""Tell items that crash workers from workers that were killed from outside.

A worker that vanished says nothing: its item may have killed it, or someone pulled the plug. Only a death
while the worker computed one item alone speaks against that item, and only `CRASHES_ALONE` of them convict
it. After each the item waits, longer each time, while others go first: an item that kills its workers will do
so again whenever it is tried, but one who kills workers from outside hits another item each time.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.states import State
from services.jobs.job_counters import Change, update_counters
from services.queue.kinds import TakenBack

CRASHES_ALONE = 3
"""Deaths of workers, each while it computed this item and no other, that make an item `poisoned`."""
_RULE = {
    "limit": 1 + CRASHES_ALONE,
    "backoff": 5,
    "growth": 4,
    "code": "poisoned",
    "message": f"The worker died each time it computed this item, {CRASHES_ALONE} times while it computed "
    "nothing else.",
}

_LOCK_HELD = text("""
    SELECT digest FROM visualizations WHERE lease_id = ANY(CAST(:leases AS bigint[]))
    ORDER BY digest FOR NO KEY UPDATE
""")
# crash_count is 1 after a crash in company, and 1 more for each crash alone: an item that was alone from the
# start goes to 2 at once. A worker claims again as soon as a batch is computed, so a later lease of the same
# worker tells that this one was only being delivered. Few leases are younger than one that is still open.
_TAKE_BACK = text("""
    UPDATE visualizations v SET
        lease_id = NULL,
        state = verdict.state,
        crash_count = verdict.crashes,
        not_before = CASE verdict.state WHEN 'queued' THEN
            clock_timestamp() + make_interval(secs => :backoff * power(:growth, verdict.crashes - 1)) END,
        error = CASE verdict.state WHEN 'failed'
            THEN jsonb_build_object(
                'code', CAST(:code AS text), 'message', CAST(:message AS text), 'retryable', false)
            ELSE v.error END,
        finished_at = CASE verdict.state WHEN 'queued' THEN NULL
            ELSE coalesce(v.finished_at, clock_timestamp()) END
    FROM visualizations old
    JOIN leases ON leases.id = old.lease_id
    CROSS JOIN LATERAL (
        SELECT leases.items = 1 AND NOT EXISTS (
            SELECT FROM leases later WHERE later.id > leases.id AND later.worker_id = leases.worker_id
        ) AS alone
    ) AS death
    CROSS JOIN LATERAL (
        SELECT CASE WHEN old.state = 'canceled' THEN old.crash_count
            ELSE greatest(old.crash_count, 1) + CAST(death.alone AS int) END AS crashes
    ) AS counted
    CROSS JOIN LATERAL (
        SELECT crashes, CASE WHEN old.state = 'canceled' THEN 'canceled' WHEN crashes >= :limit THEN 'failed'
            ELSE 'queued' END AS state
    ) AS verdict
    WHERE v.digest = old.digest AND v.digest = ANY(CAST(:digests AS text[]))
    RETURNING v.digest, v.state, v.error
""")


def take_back(session: Session, lease_ids: Sequence[int]) -> TakenBack:
    """Free the items of dead workers' leases, which are locked; jobs that waited for nothing else end.

    An item that crashed with others is tried alone from then on; after `CRASHES_ALONE` crashes alone it
    fails as `poisoned`. Before each try it waits, 5 seconds after a crash in company and four times as long
    after each one alone.
    """
    digests = list(session.scalars(_LOCK_HELD, {"leases": list(lease_ids)}))
    rows = session.execute(_TAKE_BACK, {"digests": digests, **_RULE}).all()
    poisoned = {
        row.digest: Change(State.LEASED, State.FAILED, row.error) for row in rows if row.state == State.FAILED
    }
    let_go = [row.digest for row in rows if row.state == State.CANCELED]
    ended = update_counters(session, poisoned, let_go)
    return TakenBack(len(rows) - len(poisoned) - len(let_go), len(poisoned), len(ended))
