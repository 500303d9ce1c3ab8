"""Repairing what a dead worker left behind. Every idle worker tries; one at a time does it.

Whose fault was it? A worker that vanished says nothing: its item may have killed it, or someone pulled the
plug. Only a death while the worker computed one item alone speaks against that item, and only
`CRASHES_ALONE` of them convict it. After each the item waits, longer each time, while others go first: an
item that kills its workers will do so again whenever it is tried, but one who kills workers from outside
hits another item each time.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.states import State
from services.jobs.job_counters import Change, update_counters

CRASHES_ALONE = 3
"""Deaths of workers, each while it computed this item and no other, that make an item `poisoned`."""
_LOCK = 0x696D61676F03
_AT_ONCE = 100
_RULE = {
    "limit": 1 + CRASHES_ALONE,
    "backoff": 5,
    "growth": 4,
    "code": "poisoned",
    "message": f"The worker died each time it computed this item, {CRASHES_ALONE} times while it computed "
    "nothing else.",
}

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
# A lease that someone just renews or finishes is locked and not expired any more by the next round.
_EXPIRED = text("""
    SELECT id FROM leases WHERE ended_at IS NULL AND expires_at < clock_timestamp()
    LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
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
_END_LEASES = text("""
    UPDATE leases SET ended_at = clock_timestamp(), outcome = 'expired'
    WHERE id = ANY(CAST(:leases AS bigint[]))
""")


@dataclass(frozen=True)
class Reconciled:
    """What one round did; all zero when another process was at it."""

    expired_leases: int
    requeued: int
    poisoned: int
    finished_jobs: int


def reconcile(session: Session) -> Reconciled:
    """Take back the items of expired leases; jobs that waited for nothing else end.

    An item that crashed with others is tried alone from then on; after `CRASHES_ALONE` crashes alone it
    fails as `poisoned`. Before each try it waits, 5 seconds after a crash in company and four times as long
    after each one alone. In one transaction, up to 100 leases a call; returns at once when another process is
    at it. Ring the doorbell after the commit when something was queued.
    """
    if not session.execute(_TRY_LOCK, {"lock": _LOCK}).scalar_one():
        return Reconciled(0, 0, 0, 0)
    leases = list(session.scalars(_EXPIRED, {"limit": _AT_ONCE}))
    if not leases:
        return Reconciled(0, 0, 0, 0)
    digests = list(session.scalars(_LOCK_HELD, {"leases": leases}))
    rows = session.execute(_TAKE_BACK, {"digests": digests, **_RULE}).all()
    session.execute(_END_LEASES, {"leases": leases})
    poisoned = {
        row.digest: Change(State.LEASED, State.FAILED, row.error) for row in rows if row.state == State.FAILED
    }
    let_go = [row.digest for row in rows if row.state == State.CANCELED]
    ended = update_counters(session, poisoned, let_go)
    requeued = len(rows) - len(poisoned) - len(let_go)
    return Reconciled(len(leases), requeued, len(poisoned), len(ended))
