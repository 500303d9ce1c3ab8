"""Jobs and their pictures."""

from flask import Response, request

from api.auth import reader, requires
from api.context import context
from api.operations.pagination import next_path
from api.schemas.jobs import Job
from api.schemas.visualizations import JobItem
from api.web.addresses import ServerAddresses
from api.web.site import blueprint, page
from services.atlases.visibility import atlas_row
from services.base.states import JobState
from services.jobs import jobs

PICTURES_A_PAGE, JOBS_A_PAGE = 120, 50


@blueprint.get("/jobs")
@requires("read")
def list_of_jobs() -> Response:
    """Jobs, the newest first: in a `state`, or those that build an `atlas`."""
    state, atlas = request.args.get("state"), request.args.get("atlas")
    cursor = request.args.get("cursor")
    with context().database.session() as session:
        found = jobs.list(
            session,
            cursor=cursor,
            limit=JOBS_A_PAGE,
            state=state,
            atlas_no=None if atlas is None else atlas_row(session, atlas, reader()).no,
        )
        shown = [Job.of(job) for job in found.data]
    address = ServerAddresses()
    return page(
        "jobs/jobs.html",
        section="jobs",
        jobs=shown,
        chosen=state,
        of_atlas=atlas,
        choices=[
            (name, address.page("jobs", state=value, atlas=atlas), value == state)
            for name, value in [("all", None), *((str(known), str(known)) for known in JobState)]
        ],
        is_later_page=cursor is not None,
        next=next_path(found.next_cursor) if found.next_cursor else None,
    )


@blueprint.get("/jobs/<job>")
@requires("read")
def job_gallery(job: str) -> Response:
    """A job's pictures, as they come."""
    cursor, only_best = request.args.get("cursor"), request.args.get("best") == "true"
    with context().database.session() as session:
        found = jobs.get(session, job, by=reader())
        best = True if only_best else None
        items = jobs.items(session, job, cursor=cursor, limit=PICTURES_A_PAGE, best=best, by=reader())
    return page(
        "jobs/job.html",
        section="jobs",
        job=Job.of(found),
        items=[JobItem.of(item) for item in items.data],
        candidates=found.request.get("candidates", 1),
        only_best=only_best,
        finished=found.ended,
        next=next_path(items.next_cursor) if items.next_cursor else None,
    )
