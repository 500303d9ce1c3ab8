"""The queue: what waits, and who works."""

from flask import Response

from api.auth import requires
from api.context import context
from api.http.caching import REVALIDATE, conditional
from api.http.rendering import json_response
from api.operations.operation import ApiBlueprint, Tag
from api.schemas.base import NoQuery
from api.schemas.queue import Queue
from services.queue import workers

TAG = Tag(name="Queue", description="What waits, and who works.")

blueprint = ApiBlueprint("queue", __name__, url_prefix="/v1/queue", tag=TAG)


@blueprint.get("", responses={200: Queue})
@requires("read")
def get_queue(query: NoQuery) -> Response:
    """Get the depth of each lane, of the trainings, the number of workers and their rate."""
    with context().database.session() as session:
        summary = workers.queue(session)
    return conditional(json_response(Queue.of(summary)), REVALIDATE)
