"""Jobs and their pictures."""

from flask import Response, request

from api.auth import reader, requires
from api.context import context
from api.operations.pagination import next_path
from api.schemas.jobs import Job
from api.schemas.visualizations import JobItem
from api.web.site import blueprint, page
from services.jobs import jobs

PICTURES_A_PAGE = 120


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
