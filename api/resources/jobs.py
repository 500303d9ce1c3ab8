"""Jobs: submit, look, cancel, retry."""

from sqlalchemy.orm import Session

from api.auth import principal, reader
from api.context import context
from api.http import retry_after
from api.http.caching import SECRET
from api.http.waiting import preferred_wait, wait_for
from api.openapi import examples
from api.operations.answers import Answer, Document, Lines, accepted
from api.operations.operation import REMOVED, ApiBlueprint, Tag
from api.operations.pagination import page_or_lines
from api.schemas.base import NoQuery
from api.schemas.jobs import Job, JobListQuery, JobPage, JobPath, PreferHeaders, SubmitHeaders
from api.schemas.visualizations import JobItem, JobItemListQuery, JobItemPage
from api.streams.opening import STREAM, open_stream
from api.streams.requests import EventsHeaders, EventsQuery
from services.atlases.visibility import atlas_row
from services.base.paging import Page
from services.catalog import removal
from services.jobs import jobs
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from services.jobs.progress import JobView
from services.jobs.submission import submit

TAG = Tag(name="Jobs", description="What is asked for: submit it, watch it, cancel it, retry what failed.")

blueprint = ApiBlueprint("jobs", __name__, url_prefix="/v1/jobs", tag=TAG)


@blueprint.operation(
    "POST", "", scope="jobs:write", responses={200: Job, 202: Job}, example=examples.JOB_BODY
)
def submit_job(header: SubmitHeaders, body: JobRequest) -> Answer:
    """Submit a job.

    202 while something is to be computed, 200 when every picture is known already (or the job ended within
    the time of `Prefer: wait`). The same picture asked for twice is computed once, whoever asks.
    """
    limits = Limits(max_units_per_job=context().settings.max_units_per_job)
    with context().database.session() as session:
        submission = submit(
            session, body, owner=principal().key_id, idempotency_key=header.idempotency_key, limits=limits
        )
    if not submission.job.ended:
        context().doorbell.ring(submission.job.lane)
    job = _wait(submission.job, header)
    shown = Job.of(job)
    return accepted(shown, retry_after.of_job(job), shown.links.self, replayed=not submission.created)


@blueprint.operation("GET", "", scope="read", responses={200: JobPage})
def list_jobs(session: Session, query: JobListQuery) -> Page[Job]:
    """List jobs, the newest first.

    Those that build an atlas are listed with `atlas` alone.
    """
    no = None if query.atlas is None else atlas_row(session, query.atlas, reader()).no
    page = jobs.list(session, cursor=query.cursor, limit=query.limit, state=query.state, atlas_no=no)
    return page.map(Job.of)


@blueprint.operation("GET", "/<job>", scope="read", responses={200: Job})
def get_job(path: JobPath, query: NoQuery, header: PreferHeaders) -> Answer:
    """Get a job as it stands, or with `Prefer: wait` as soon as it has ended."""
    job = _wait(_get(path.job), header)
    return Answer(Job.of(job), headers={"Vary": "Prefer", **retry_after.header(retry_after.of_job(job))})


@blueprint.operation("GET", "/<job>/events", scope="read", responses=STREAM, freshness=SECRET)
def follow_job(session: Session, path: JobPath, query: EventsQuery, header: EventsHeaders) -> Document:
    """Follow a job: its state, progress and the items that have ended, as server-sent events.

    Each event `progress` holds, as JSON, what changes of a job (`state`, `progress`, `queue`, `errors`,
    `started_at`, `finished_at`) and `items`, at most 100: those that are done, failed or unreachable since
    the event before, each with `ordinal`, `digest`, `layer`, `unit`, `seed` and `state`. Events come at most
    once a second. The last is `end`. Going on with `Last-Event-ID`, an item of the last seconds may be told
    twice. Without an id, items are told from now on.
    """
    return open_stream(session, "job", path.job, query, header)


@blueprint.operation(
    "GET", "/<job>/visualizations", scope="read", responses={200: JobItemPage}, has_lines=True
)
def list_job_visualizations(path: JobPath, query: JobItemListQuery) -> Page[JobItem] | Lines:
    """List a job's items in the order of its request: by target, unit, seed, candidate.

    With `Accept: application/x-ndjson`, all that follow at once, an item a line.
    """
    by = reader()

    def read(session: Session, cursor: str | None, limit: int) -> Page[jobs.JobItem]:
        return jobs.items(
            session,
            path.job,
            cursor=cursor,
            limit=limit,
            state=query.state,
            best=query.best,
            by=by,
        )

    return page_or_lines(read, JobItem.of, query)


@blueprint.operation("POST", "/<job>/cancel", scope="jobs:write", responses={200: Job, 202: Job})
def cancel_job(session: Session, path: JobPath) -> Answer:
    """Cancel a job.

    Only the key that submitted it and keys with the scope `admin` may. Items that no other job wants are
    dropped; pictures that are done stay. 202 while a worker still computes some.
    """
    job = jobs.cancel(session, path.job, by=principal())
    return accepted(Job.of(job), retry_after.of_job(job))


@blueprint.operation("POST", "/<job>/retry", scope="jobs:write", responses={200: Job, 202: Job})
def retry_job(session: Session, path: JobPath) -> Answer:
    """Queue a job's failed and canceled items again.

    Only the key that submitted it and keys with the scope `admin` may.
    """
    job = jobs.retry(session, path.job, by=principal())
    return accepted(Job.of(job), retry_after.of_job(job), ring=None if job.ended else job.lane)


@blueprint.operation("DELETE", "/<job>", scope="jobs:write", responses=REMOVED)
def remove_job(session: Session, path: JobPath, query: NoQuery) -> None:
    """Remove a job that has ended.

    Only the key that submitted it and keys with the scope `admin` may. Its pictures stay, under their
    own addresses.
    """
    removal.remove_job(session, path.job, by=principal())


def _get(id: str) -> JobView:
    with context().database.session() as session:
        return jobs.get(session, id, by=reader())


def _wait(job: JobView, header: PreferHeaders) -> JobView:
    """The job as it stands after the time that the client is ready to wait. Each look is a transaction of its
    own.
    """
    seconds = preferred_wait(header.prefer)
    if job.ended or not seconds:
        return job
    return wait_for(
        lambda: _get(job.id), lambda seen: seen.ended, seconds, context().waits, context().stopping
    )
