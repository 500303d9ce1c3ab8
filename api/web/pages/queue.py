"""The queue: what waits, who works, and until when."""

from flask import Response

from api.auth import requires
from api.context import context
from api.schemas.queue import Queue
from api.web.site import blueprint, page
from services.queue import workers


@blueprint.get("/queue")
@requires("read")
def queue() -> Response:
    """Lanes, workers and the time that all of it takes."""
    with context().database.session() as session:
        summary = Queue.of(workers.queue(session))
    return page("queue/queue.html", queue=summary)
