"""Repairing what a dead worker left behind. Every idle worker tries; one at a time does it."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.schema import State
from services.settlement import Change, settle

_LOCK = 0x696D61676F03
_AT_ONCE = 100
_POISONED = {
    "code": "poisoned",
    "message": "The worker died each time it computed this item, twice while it computed nothing else.",
}

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
# A lease that someone just renews or finishes is locked and not expired any more by the next round.
_EXPIRED = text("""
    SELECT id FROM leases WHERE ended_at IS NULL AND expires_at < clock_timestamp()
    ORDER BY id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
_LOCK_HELD = text("""
    SELECT digest FROM visualizations WHERE lease_id = ANY(CAST(:leases AS bigint[]))
    ORDER BY digest FOR NO KEY UPDATE
""")
# crash_count is 1 after a crash in company, and 1 more for each crash alone: an item that was alone from the
# start goes to 2 at once.
_TAKE_BACK = text("""
    UPDATE visualizations v SET
        lease_id = NULL,
        state = verdict.state,
        crash_count = verdict.crashes,
        error = CASE verdict.state WHEN 'failed'
            THEN jsonb_build_object(
                'code', CAST(:code AS text), 'message', CAST(:message AS text), 'retryable', false)
            ELSE v.error END,
        finished_at = CASE verdict.state WHEN 'queued' THEN NULL
            ELSE coalesce(v.finished_at, clock_timestamp()) END
    FROM visualizations old
    JOIN leases ON leases.id = old.lease_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN old.state = 'canceled' THEN old.crash_count
            WHEN leases.items = 1 THEN greatest(old.crash_count, 1) + 1
            ELSE old.crash_count + 1 END AS crashes
    ) AS counted
    CROSS JOIN LATERAL (
        SELECT crashes, CASE WHEN old.state = 'canceled' THEN 'canceled' WHEN crashes >= 3 THEN 'failed'
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

    An item that crashed with others is tried alone from then on; after two crashes alone it fails as
    `poisoned`. In one transaction, up to 100 leases a call; returns at once when another process is at it.
    Ring the doorbell after the commit when something was queued.
    """
    if not session.execute(_TRY_LOCK, {"lock": _LOCK}).scalar_one():
        return Reconciled(0, 0, 0, 0)
    leases = list(session.scalars(_EXPIRED, {"limit": _AT_ONCE}))
    if not leases:
        return Reconciled(0, 0, 0, 0)
    digests = list(session.scalars(_LOCK_HELD, {"leases": leases}))
    rows = session.execute(_TAKE_BACK, {"digests": digests, **_POISONED}).all()
    session.execute(_END_LEASES, {"leases": leases})
    poisoned = {
        row.digest: Change(State.LEASED, State.FAILED, row.error) for row in rows if row.state == State.FAILED
    }
    let_go = [row.digest for row in rows if row.state == State.CANCELED]
    ended = settle(session, poisoned, let_go)
    requeued = len(rows) - len(poisoned) - len(let_go)
    return Reconciled(len(leases), requeued, len(poisoned), len(ended))
