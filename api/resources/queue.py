"""The queue: what waits, and who works."""

from sqlalchemy.orm import Session

from api.operations.operation import ApiBlueprint, Tag
from api.schemas.base import NoQuery
from api.schemas.queue import Queue
from services.queue import workers

TAG = Tag(name="Queue", description="What waits, and who works.")

blueprint = ApiBlueprint("queue", __name__, url_prefix="/v1/queue", tag=TAG)


@blueprint.operation("GET", "", scope="read", responses={200: Queue})
def get_queue(session: Session, query: NoQuery) -> Queue:
    """Get the depth of each lane, of the trainings, the number of workers and their rate."""
    return Queue.of(workers.queue(session))
