"""Let go of the items of a job that wait, while what is being computed ends: how an atlas is paused.

The job stays as it is until its last item has ended, and is then canceled; `requeue` takes it up again.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.states import LIVE_JOBS, State, listed
from services.jobs.job_counters import Change, update_counters

WANTED_BY_OTHERS = f"""EXISTS (
    SELECT FROM job_visualizations jv JOIN jobs ON jobs.id = jv.job_id
    WHERE jv.digest = visualizations.digest AND jobs.id <> :id AND jobs.state IN {listed(LIVE_JOBS)}
    AND (jobs.atlas_no IS NULL
        OR EXISTS (SELECT FROM atlases WHERE atlases.no = jobs.atlas_no AND atlases.wish = 'build'))
)"""
"""Whether a job other than `:id` wants an item of `visualizations`. Those of an atlas that is paused do
not, although they are live until what is computed of them has ended."""

_LOCK_QUEUED = text("""
    SELECT v.digest FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
    WHERE jv.job_id = :id AND v.state = 'queued' ORDER BY v.digest FOR NO KEY UPDATE OF v
""")
_LET_GO = text(f"""
    UPDATE visualizations SET state = 'canceled', finished_at = now(), not_before = NULL
    WHERE digest = ANY(CAST(:digests AS text[])) AND state = 'queued' AND NOT {WANTED_BY_OTHERS}
    RETURNING digest
""")


def withdraw(session: Session, job_id: str) -> int:
    """Cancel those of a job's items that wait to be claimed and that no other job wants; returns how many.

    What a worker computes stays as it is. Locks jobs, so call it once in a transaction.
    """
    digests = list(session.scalars(_LOCK_QUEUED, {"id": job_id}))
    if not digests:
        return 0
    dropped = list(session.scalars(_LET_GO, {"id": job_id, "digests": digests}))
    update_counters(session, dict.fromkeys(dropped, Change(State.QUEUED, State.CANCELED)))
    return len(dropped)
