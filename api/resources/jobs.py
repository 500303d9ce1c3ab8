"""Jobs: submit, look, cancel, retry."""

from http import HTTPStatus

from flask import Response

from api.auth import principal, requires
from api.context import context
from api.http.caching import REVALIDATE, conditional
from api.http.rendering import REMOVED, json_response, removed
from api.http.retry_after import seconds_until_progress
from api.http.waiting import preferred_wait, wait_for
from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import page_response
from api.schemas.base import NoQuery
from api.schemas.jobs import (
    Job,
    JobListQuery,
    JobPage,
    JobPath,
    PreferHeaders,
    SubmitHeaders,
)
from api.schemas.visualizations import Item, ItemListQuery, ItemPage
from services.catalog import removal
from services.jobs import jobs
from services.jobs.jobs import JobRequest, JobView, Limits

TAG = Tag(name="Jobs", description="What is asked for: submit it, watch it, cancel it, retry what failed.")

blueprint = ApiBlueprint("jobs", __name__, url_prefix="/v1/jobs", tag=TAG)


@blueprint.post("", responses={200: Job, 202: Job})
@requires("jobs:write")
def submit_job(header: SubmitHeaders, body: JobRequest) -> Response:
    """Submit a job.

    202 while something is to be computed, 200 when every picture is known already (or the job ended within
    the time of `Prefer: wait`). The same picture asked for twice is computed once, whoever asks.
    """
    limits = Limits(max_units_per_job=context().settings.max_units_per_job)
    with context().database.session() as session:
        submission = jobs.submit(
            session, body, owner=principal().key_id, idempotency_key=header.idempotency_key, limits=limits
        )
    job = submission.job
    if not job.ended:
        context().doorbell.ring(job.lane)
    response = _as_it_stands(_wait(job, header))
    response.headers["Location"] = Job.of(job).links.self
    if not submission.created:
        response.headers["Idempotency-Replayed"] = "true"
    return response


@blueprint.get("", responses={200: JobPage})
@requires("read")
def list_jobs(query: JobListQuery) -> Response:
    """List jobs, the newest first."""
    with context().database.session() as session:
        page = jobs.list(session, cursor=query.cursor, limit=query.limit, state=query.state)
    return conditional(page_response(JobPage, page, Job.of), REVALIDATE)


@blueprint.get("/<job>", responses={200: Job})
@requires("read")
def get_job(path: JobPath, query: NoQuery, header: PreferHeaders) -> Response:
    """Get a job as it stands, or with `Prefer: wait` as soon as it has ended."""
    found = _wait(_get(path.job), header)
    response = json_response(Job.of(found), headers={"Vary": "Prefer"})
    if not found.ended:
        response.headers["Retry-After"] = str(seconds_until_progress(found.eta))
    return conditional(response, REVALIDATE)


@blueprint.get("/<job>/visualizations", responses={200: ItemPage})
@requires("read")
def list_job_visualizations(path: JobPath, query: ItemListQuery) -> Response:
    """List a job's items in the order of its request."""
    with context().database.session() as session:
        page = jobs.items(session, path.job, cursor=query.cursor, limit=query.limit, state=query.state)
    return conditional(page_response(ItemPage, page, Item.of), REVALIDATE)


@blueprint.post("/<job>/cancel", responses={200: Job, 202: Job})
@requires("jobs:write")
def cancel_job(path: JobPath) -> Response:
    """Cancel a job.

    Only the key that submitted it and keys with the scope `admin` may. Items that no other job wants are
    dropped; pictures that are done stay. 202 while a worker still computes some.
    """
    with context().database.session() as session:
        job = jobs.cancel(session, path.job, by=principal())
    return _as_it_stands(job)


@blueprint.post("/<job>/retry", responses={200: Job, 202: Job})
@requires("jobs:write")
def retry_job(path: JobPath) -> Response:
    """Queue a job's failed and canceled items again.

    Only the key that submitted it and keys with the scope `admin` may.
    """
    with context().database.session() as session:
        job = jobs.retry(session, path.job, by=principal())
    if not job.ended:
        context().doorbell.ring(job.lane)
    return _as_it_stands(job)


@blueprint.delete("/<job>", responses={204: REMOVED})
@requires("jobs:write")
def remove_job(path: JobPath, query: NoQuery) -> Response:
    """Remove a job that has ended.

    Only the key that submitted it and keys with the scope `admin` may. Its pictures stay, under their
    own addresses.
    """
    with context().database.session() as session:
        removal.remove_job(session, path.job, by=principal())
    return removed()


def _get(id: str) -> JobView:
    with context().database.session() as session:
        return jobs.get(session, id)


def _wait(job: JobView, header: PreferHeaders) -> JobView:
    seconds = preferred_wait(header.prefer)
    if job.ended or not seconds:
        return job
    return wait_for(
        lambda: _get(job.id), lambda seen: seen.ended, seconds, context().waits, context().stopping
    )


def _as_it_stands(job: JobView) -> Response:
    if job.ended:
        return json_response(Job.of(job))
    return json_response(
        Job.of(job), HTTPStatus.ACCEPTED, {"Retry-After": str(seconds_until_progress(job.eta))}
    )
