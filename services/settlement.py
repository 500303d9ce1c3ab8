"""A job ends in the transaction that ends the last of its items."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.progress import COUNTS

# The items of a job are claimed in the order of their ordinals, so the last one that is open is found at
# once: this does not get slower while a large job proceeds.
_ENDED = text("""
    SELECT jobs.id FROM jobs
    WHERE jobs.id = ANY(CAST(:ids AS text[]))
    AND (
        SELECT 1 FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
        WHERE jv.job_id = jobs.id
        AND CASE jobs.state WHEN 'canceling' THEN v.state = 'canceled' AND v.lease_id IS NOT NULL
            ELSE v.state IN ('queued', 'leased') END
        ORDER BY jv.ordinal DESC LIMIT 1
    ) IS NULL
""")
_LOCK_OPEN = text("""
    SELECT id FROM jobs
    WHERE id = ANY(CAST(:ids AS text[])) AND state IN ('queued', 'running', 'canceling')
    ORDER BY id FOR NO KEY UPDATE
""")
_END = text(f"""
    UPDATE jobs SET
        state = CASE
            WHEN jobs.state = 'canceling' THEN 'canceled'
            WHEN c.failed > 0 OR c.done = 0 THEN 'failed'
            ELSE 'succeeded' END,
        finished_at = clock_timestamp(),
        counts = jsonb_build_object(
            'total', c.total, 'done', c.done, 'failed', c.failed, 'unreachable', c.unreachable,
            'canceled', c.canceled, 'queued', c.queued, 'leased', c.leased)
    FROM ({COUNTS}) AS c
    WHERE jobs.id = c.id
""")
_WANTING = text("""
    SELECT DISTINCT jv.job_id FROM job_visualizations jv
    JOIN jobs ON jobs.id = jv.job_id AND jobs.state IN ('queued', 'running', 'canceling')
    WHERE jv.digest = ANY(CAST(:digests AS text[]))
""")
_OPEN = text("SELECT id FROM jobs WHERE state IN ('queued', 'running', 'canceling')")


def settle(session: Session, job_ids: Collection[str]) -> list[str]:
    """End those of the jobs of which nothing is open any more; returns their ids.

    Locks the jobs by id and only then looks at their items, in a statement of its own: of two transactions
    that end the last two items, the later one sees what the earlier one did. Call it after the items are
    changed.
    """
    if not job_ids:
        return []
    open_ids = list(session.scalars(_LOCK_OPEN, {"ids": sorted(job_ids)}))
    ended = list(session.scalars(_ENDED, {"ids": open_ids})) if open_ids else []
    if ended:
        session.execute(_END, {"ids": ended})
    return ended


def wanting(session: Session, digests: Collection[str]) -> set[str]:
    """Ids of the open jobs that want any of these items."""
    return set(session.scalars(_WANTING, {"digests": list(digests)})) if digests else set()


def stalled(session: Session) -> set[str]:
    """Ids of open jobs of which nothing is open: there are none unless a transaction forgot to end them."""
    open_ids = list(session.scalars(_OPEN))
    return set(session.scalars(_ENDED, {"ids": open_ids})) if open_ids else set()
