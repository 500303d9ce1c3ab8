"""What becomes of the items of batches whose workers died: tried again, alone, or given up as `poisoned`."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.states import State
from services.jobs.job_counters import Change, update_counters
from services.queue.crash_rule import CRASH_RULE, poisoned_message
from services.queue.kinds import TakenBack

_LOCK_HELD = text("""
    SELECT digest FROM visualizations WHERE lease_id = ANY(CAST(:leases AS bigint[]))
    ORDER BY digest FOR NO KEY UPDATE
""")
_TAKE_BACK = text(f"""
    UPDATE visualizations v SET
        lease_id = NULL,
        state = next.state,
        crash_count = CASE next.state WHEN 'canceled' THEN old.crash_count ELSE crash.crashes END,
        not_before = CASE next.state WHEN 'queued' THEN clock_timestamp() + crash.wait END,
        error = CASE next.state WHEN 'failed'
            THEN jsonb_build_object(
                'code', 'poisoned', 'message', CAST(:message AS text), 'retryable', false)
            ELSE v.error END,
        finished_at = CASE next.state WHEN 'queued' THEN NULL
            ELSE coalesce(v.finished_at, clock_timestamp()) END
    FROM visualizations old {CRASH_RULE}
    CROSS JOIN LATERAL (
        SELECT CASE WHEN old.state = 'canceled' THEN 'canceled' WHEN crash.poisoned THEN 'failed'
            ELSE 'queued' END AS state
    ) AS next
    WHERE v.digest = old.digest AND v.digest = ANY(CAST(:digests AS text[]))
    RETURNING v.digest, v.state, v.error
""")


def take_back(session: Session, lease_ids: Sequence[int]) -> TakenBack:
    """Free the items of dead workers' leases, which are locked; jobs that waited for nothing else end.

    An item that crashed with others is tried alone from then on; what becomes of it then is as
    `services.queue.crash_rule` has it.
    """
    digests = list(session.scalars(_LOCK_HELD, {"leases": list(lease_ids)}))
    given = {"digests": digests, "message": poisoned_message("computed this item")}
    rows = session.execute(_TAKE_BACK, given).all()
    poisoned = {
        row.digest: Change(State.LEASED, State.FAILED, row.error) for row in rows if row.state == State.FAILED
    }
    let_go = [row.digest for row in rows if row.state == State.CANCELED]
    ended = update_counters(session, poisoned, let_go)
    return TakenBack(len(rows) - len(poisoned) - len(let_go), len(poisoned), len(ended))
