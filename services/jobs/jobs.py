"""Read, list, cancel and retry jobs. `submission` adds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.access.listing import known_state, newest_first
from services.access.ownership import check_may_change
from services.atlases.visibility import sees_part
from services.base.errors import Conflict, NotFound
from services.base.paging import Key, Keyset, Page
from services.base.states import LIVE_JOBS, JobState, State
from services.catalog.layers import labels_of_layers
from services.jobs import progress
from services.jobs.job_counters import Change, end_complete, update_counters
from services.jobs.progress import JobView
from services.jobs.requeuing import LOCK_ITEMS, OPEN, locked_job, requeue
from services.jobs.tables import JobRow
from services.jobs.withdrawal import WANTED_BY_OTHERS
from services.pictures.best import CANDIDATES_BEST_FIRST

_DROP = text(f"""
    UPDATE visualizations SET state = 'canceled', finished_at = now(), not_before = NULL
    WHERE digest = ANY(CAST(:digests AS text[])) AND NOT {WANTED_BY_OTHERS}
    RETURNING digest
""")
# All candidates of a unit and seed follow each other (`planning.Plan`). Each item is looked up by itself, so
# that no plan reads all pictures that there are.
_BEST = f"""
    SELECT others.ordinal FROM job_visualizations others JOIN visualizations other USING (digest)
    WHERE others.job_id = jobs.id AND other.state = 'done'
    AND others.ordinal >= jv.ordinal - jv.ordinal % candidates.count
    AND others.ordinal < jv.ordinal - jv.ordinal % candidates.count + candidates.count
    ORDER BY {CANDIDATES_BEST_FIRST.format(picture="other", item="others")} LIMIT 1
"""
_ITEMS = """
    SELECT jv.ordinal, v.digest, v.network_id, v.layer, v.unit, v.position_y, v.position_x, v.token, v.seed,
        v.activation, v.score, v.error, item.state, item.best
    FROM jobs
    JOIN job_visualizations jv ON jv.job_id = jobs.id
    CROSS JOIN LATERAL (SELECT * FROM visualizations WHERE digest = jv.digest LIMIT 1) AS v
    CROSS JOIN LATERAL (
        SELECT coalesce(CAST(jobs.request->>'candidates' AS int), 1) AS count
    ) AS candidates
    CROSS JOIN LATERAL (
        SELECT CASE WHEN jobs.state IN ('canceling', 'canceled') AND v.state IN ('queued', 'leased')
                THEN 'canceled' ELSE v.state END AS state,
            v.state = 'done' AND (candidates.count = 1 OR jv.ordinal = ({best})) AS best
    ) AS item
    WHERE jobs.id = :id AND jv.ordinal > :after AND jv.ordinal <= :last {conditions}
    ORDER BY jv.ordinal LIMIT :limit
"""
_CONDITIONS = {"state": "AND item.state = :state", "best": "AND item.best = :best"}
_LOOKED_AT_ONCE, LOOKED_AT = 1_000, 20_000
"""Items that a statement looks at, and a page, for those in a state: there may be a million others between
two of them."""


@dataclass(frozen=True)
class JobItem:
    """A visualization as one of a job's. `label` is the name of the class, for units of the output layer;
    `best`: no other candidate of the same unit and seed that is done by now has a higher score.
    """

    ordinal: int
    digest: str
    network: str
    layer: str
    unit: int
    label: str | None
    position: tuple[int, int] | None
    token: int | None
    seed: int
    state: State
    activation: float | None
    score: float | None
    error: Mapping[str, Any] | None
    best: bool


def get(session: Session, id: str, *, by: Principal | None = None) -> JobView:
    """The job as it stands. Raises `NotFound`, also for a part of an atlas that `by` does not see; None as
    `by` is the operator of the service.
    """
    return progress.views(session, [_row(session, id, by)])[0]


def items(
    session: Session,
    job_id: str,
    *,
    cursor: str | None = None,
    limit: int = 50,
    state: str | None = None,
    best: bool | None = None,
    by: Principal | None = None,
) -> Page[JobItem]:
    """Items in the order of the request. Raises `NotFound` as `get` does, or `Invalid` for a wrong cursor,
    limit or state.

    With a `state`, or `best`, no page looks at more than `LOOKED_AT` items: one may be short, or empty, and
    have a next cursor.
    """
    total = _row(session, job_id, by).total
    wanted = {"state": None if state is None else known_state(State, state), "best": best}
    conditions = [_CONDITIONS[name] for name, value in wanted.items() if value is not None]
    statement = text(_ITEMS.format(best=_BEST, conditions=" ".join(conditions)))
    given = {"id": job_id, **{name: value for name, value in wanted.items() if value is not None}}

    def read(after: Key | None, most: int) -> tuple[Sequence[Row[Any]], Key | None]:
        found: Sequence[Row[Any]] = ()
        at = first = after[0] if after else -1
        while len(found) < most and at < total - 1:
            if conditions and at - first >= LOOKED_AT:
                return found, [at]
            last = at + (_LOOKED_AT_ONCE if conditions else most)
            place = {"after": at, "last": last, "limit": most - len(found)}
            found = [*found, *session.execute(statement, {**given, **place})]
            at = last
        return found, None

    rows = Keyset("items", (int,)).bounded(cursor, limit, read, lambda row: [row.ordinal])
    places = {(row.network_id, row.layer) for row in rows.data}
    labels = labels_of_layers(session, places)
    return rows.map(lambda row: _item(row, labels.get((row.network_id, row.layer), ())))


def cancel(session: Session, id: str, *, by: Principal | None = None) -> JobView:
    """Stop a job. Its items that no other live job wants become canceled; what is done stays done.

    The job is `canceling` until the workers that compute some of them have noticed, `canceled` at once where
    there are none. Canceling again changes nothing. `by` is who asks, None for the operator of the service.
    Raises `NotFound`, `Forbidden` when the job is another key's and `by` is no admin, or `Conflict` when the
    job has ended otherwise.
    """
    row = _row(session, id, by)
    _check_may_change(row, by)
    locked = session.execute(LOCK_ITEMS, {"id": id}).all()
    before = {item.digest: State(item.state) for item in locked if item.state in OPEN}
    row = locked_job(session, id)
    if row.state in LIVE_JOBS:
        row.state = JobState.CANCELING
        row.canceled = row.total - row.done - row.failed - row.unreachable
        session.flush()
        # Jobs that want one of these have locked it before they were committed, so all of them are seen here.
        dropped = session.scalars(_DROP, {"id": id, "digests": [*before]}).all()
        update_counters(session, {one: Change(before[one], State.CANCELED) for one in dropped})
        end_complete(session, [row])
    elif row.state not in (JobState.CANCELING, JobState.CANCELED):
        raise Conflict(f"The job {id} has {row.state} already; there is nothing to cancel.")
    return get(session, id)


def retry(session: Session, id: str, *, by: Principal | None = None) -> JobView:
    """Queue those items again that failed or were canceled, with all their attempts.

    In the caller's transaction; ring the doorbell after the commit. `by` is who asks, None for the operator
    of the service. Raises `NotFound`, `Forbidden` when the job is another key's and `by` is no admin, or
    `Conflict` when there are none or the job is being canceled.
    """
    row = _row(session, id, by)
    _check_may_change(row, by)
    if not requeue(session, id):
        raise Conflict(f"The job {id} has no item that failed or was canceled.")
    return get(session, id)


def _check_may_change(row: JobRow, by: Principal | None) -> None:
    """Raises `Forbidden`, or `Conflict` for a part of an atlas, which changes with that alone."""
    check_may_change(row, by)
    if row.atlas_no is not None:
        raise Conflict(
            f"The job {row.id} is a part of an atlas; pause, resume, cancel or retry that: /v1/atlases."
        )


def _row(session: Session, id: str, by: Principal | None) -> JobRow:
    row = session.get(JobRow, id, populate_existing=True)
    if row is None or not sees_part(session, row.atlas_no, by):
        raise NotFound("job", id, "Ids look like job_01j9… and are given by POST /v1/jobs.")
    return row


def _item(row: Any, labels: Any) -> JobItem:
    position = None if row.position_y is None else (row.position_y, row.position_x)
    return JobItem(
        ordinal=row.ordinal,
        digest=row.digest,
        network=row.network_id,
        layer=row.layer,
        unit=row.unit,
        label=labels[row.unit] if row.unit < len(labels) else None,
        position=position,
        token=row.token,
        seed=row.seed,
        state=State(row.state),
        activation=row.activation,
        score=row.score,
        error=row.error,
        best=row.best,
    )


def list(
    session: Session,
    *,
    cursor: str | None = None,
    limit: int = 50,
    state: str | None = None,
    atlas_no: int | None = None,
    owner: str | None = None,
) -> Page[JobView]:
    """Jobs, the newest first: those that build the atlas of this number, else those that build none; of one
    owner. Raises `Invalid` for a wrong cursor, limit or state.
    """
    only = JobRow.atlas_no.is_(None) if atlas_no is None else JobRow.atlas_no == atlas_no
    if owner is not None:
        only = only & (JobRow.owner_key_id == owner)
    rows = newest_first(session, JobRow, JobState, cursor=cursor, limit=limit, state=state, only=only)
    return Page(tuple(progress.views(session, rows.data)), rows.next_cursor)
