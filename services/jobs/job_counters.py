"""Update job counters in the transaction that changes the items.

What ends an item counts it in every open job that wants it, and ends the jobs of which nothing is left.

The caller holds the rows of the items. A job that wants one of them has held it too when it was submitted, so
no job is missed; jobs are then locked by id, so their counts are exact however many transactions meet in
them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.states import LIVE_JOBS, OPEN_JOBS, JobState, State, listed
from services.estimates import rates
from services.jobs.tables import JobRow
from services.queue.leases import HELD

_ENDED = (State.DONE, State.FAILED, State.UNREACHABLE)
_COUNTED = (*_ENDED, State.CANCELED)

_WANTING = text(f"""
    SELECT jv.job_id, jv.digest FROM job_visualizations jv
    JOIN jobs ON jobs.id = jv.job_id AND jobs.state IN {listed(OPEN_JOBS)}
    WHERE jv.digest = ANY(CAST(:digests AS text[]))
""")
# Few rows are held at any time, however many a job has.
_STILL_HELD = text(f"""
    WITH held AS MATERIALIZED (
        SELECT digest FROM visualizations WHERE {HELD} AND state = 'canceled'
    )
    SELECT DISTINCT jv.job_id FROM held JOIN job_visualizations jv ON jv.digest = held.digest
    WHERE jv.job_id = ANY(CAST(:ids AS text[]))
""")


@dataclass(frozen=True)
class Change:
    """An item went from one state to another; `error` is that of the failed one of the two."""

    before: State
    after: State
    error: Mapping[str, Any] | None = None


def update_counters(
    session: Session, changes: Mapping[str, Change], let_go: Collection[str] = ()
) -> list[str]:
    """Note changes of items, by digest, in the open jobs that want them; returns ids of jobs that so end.

    `let_go` are canceled items that a worker has just noticed to be so. Call it once in a transaction, after
    the items are changed: it locks jobs.
    """
    digests = changes.keys() | set(let_go)
    if not digests:
        return []
    wanted: dict[str, list[str]] = {}
    for job_id, digest in session.execute(_WANTING, {"digests": list(digests)}):
        wanted.setdefault(job_id, []).append(digest)
    rows = session.scalars(
        sa.select(JobRow)
        .where(JobRow.id.in_(wanted), JobRow.state.in_(OPEN_JOBS))
        .order_by(JobRow.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).all()
    if not rows:
        return []
    now = _now(session)
    for row in rows:
        if row.state in LIVE_JOBS:
            _count(row, [changes[digest] for digest in wanted[row.id] if digest in changes], now)
    return end_complete(session, rows, now)


def end_complete(session: Session, rows: Sequence[JobRow], now: datetime | None = None) -> list[str]:
    """End those of the jobs, which the caller holds, of which nothing is left; returns their ids."""
    canceling = [row.id for row in rows if row.state == JobState.CANCELING]
    held = set(session.scalars(_STILL_HELD, {"ids": canceling})) if canceling else set()
    now = now or _now(session)
    ended = []
    for row in rows:
        if row.state == JobState.CANCELING:
            complete = row.id not in held
        else:
            complete = row.done + row.failed + row.unreachable + row.canceled == row.total
        if complete:
            row.state = _outcome(row)
            row.finished_at = now
            ended.append(row.id)
    session.flush()
    return ended


def _outcome(row: JobRow) -> JobState:
    if row.state == JobState.CANCELING or row.canceled:
        return JobState.CANCELED
    return JobState.FAILED if row.failed or not row.done else JobState.SUCCEEDED


def _count(row: JobRow, changes: Sequence[Change], now: datetime) -> None:
    counts = dict.fromkeys(_COUNTED, 0)
    errors = {code: dict(error) for code, error in row.errors.items()}
    for change in changes:
        for state, step in ((change.before, -1), (change.after, 1)):
            if state in counts:
                counts[state] += step
            if state == State.FAILED and change.error is not None:
                _count_error(errors, change.error, step)
    row.done += counts[State.DONE]
    row.failed += counts[State.FAILED]
    row.unreachable += counts[State.UNREACHABLE]
    row.canceled += counts[State.CANCELED]
    if errors != row.errors:
        row.errors = errors
    ended = sum(change.after in _ENDED for change in changes)
    if ended:
        row.rate, row.rate_at = rates.noted(row.rate, row.rate_at, ended, now), now


def _count_error(errors: dict[str, dict[str, Any]], error: Mapping[str, Any], step: int) -> None:
    known = errors.setdefault(error["code"], {"count": 0, "message": error["message"]})
    known["count"] += step
    if known["count"] <= 0:
        del errors[error["code"]]


def _now(session: Session) -> datetime:
    now: datetime = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return now
