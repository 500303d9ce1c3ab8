"""Which items of jobs have come to an end since a moment: what streams of events tell.

An item is stamped a moment before it is committed, so items appear somewhat after their time. Whoever reads
on therefore looks `OVERLAP` further back than it has read, and leaves out what it knows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.states import State

OVERLAP = timedelta(seconds=15)
"""More than the transaction takes that ends an item."""
PAGE = 1000
MOST_RECENT = 20_000
"""Of one look at all jobs that are watched."""

# In the order of the index on `finished_at`, whichever jobs are watched: what this costs depends on how much
# has ended since, not on how large the jobs are.
_RECENT = text("""
    SELECT jv.job_id, jv.ordinal, v.digest, v.layer, v.unit, v.seed, v.state, v.finished_at
    FROM visualizations v JOIN job_visualizations jv ON jv.digest = v.digest
    WHERE v.finished_at > :since AND v.state IN ('done', 'failed', 'unreachable')
    AND jv.job_id = ANY(CAST(:jobs AS text[]))
    ORDER BY v.finished_at, v.digest LIMIT :limit
""")
_OF_JOB = text("""
    SELECT jv.job_id, jv.ordinal, v.digest, v.layer, v.unit, v.seed, v.state, v.finished_at
    FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
    WHERE jv.job_id = :job AND v.state IN ('done', 'failed', 'unreachable')
    AND (v.finished_at, v.digest) > (:since, CAST(:digest AS text))
    ORDER BY v.finished_at, v.digest LIMIT :limit
""")


@dataclass(frozen=True)
class EndedItem:
    """An item of a job that is done, failed or unreachable. `ordinal` is its place in the request."""

    job_id: str
    ordinal: int
    digest: str
    layer: str
    unit: int
    seed: int
    state: State
    finished_at: datetime


def of_jobs(session: Session, jobs: Collection[str], since: datetime) -> Sequence[EndedItem]:
    """Items of these jobs that ended after `since`, in that order."""
    given = {"jobs": list(jobs), "since": since, "limit": MOST_RECENT}
    return [EndedItem(**row) for row in session.execute(_RECENT, given).mappings()]


def of_job(session: Session, job: str, since: datetime, digest: str = "") -> Sequence[EndedItem]:
    """The first `PAGE` items of a job that ended after `since`, or at that time with a greater digest."""
    given = {"job": job, "since": since, "digest": digest, "limit": PAGE}
    return [EndedItem(**row) for row in session.execute(_OF_JOB, given).mappings()]
