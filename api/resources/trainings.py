"""Trainings of generators: look, cancel, and fetch what they leave. `POST /v1/generators` submits them."""

from sqlalchemy.orm import Session

from api.auth import principal
from api.http import retry_after
from api.http.caching import REVALIDATE, SECRET
from api.http.objects import StoredObject
from api.operations.answers import Answer, Document, accepted
from api.operations.operation import REMOVED, ApiBlueprint, Tag, stored
from api.schemas.base import NoQuery
from api.schemas.trainings import (
    SamplePath,
    Training,
    TrainingListQuery,
    TrainingPage,
    TrainingPath,
)
from api.streams.opening import STREAM, open_stream
from api.streams.requests import EventsHeaders, EventsQuery
from services.base.errors import NotFound
from services.base.paging import Page
from services.catalog import removal
from services.pictures.losses import Subject
from services.trainings import trainings

TAG = Tag(name="Trainings", description="Generators in the making.")

blueprint = ApiBlueprint("trainings", __name__, url_prefix="/v1/trainings", tag=TAG)


@blueprint.operation("GET", "", scope="read", responses={200: TrainingPage})
def list_trainings(session: Session, query: TrainingListQuery) -> Page[Training]:
    """List trainings, the newest first."""
    page = trainings.list(session, cursor=query.cursor, limit=query.limit, state=query.state)
    return page.map(Training.of)


@blueprint.operation("GET", "/<training>", scope="read", responses={200: Training})
def get_training(session: Session, path: TrainingPath, query: NoQuery) -> Answer:
    """Get a training as it stands: how far it is, its losses, its latest samples."""
    view = trainings.get(session, path.training)
    return Answer(Training.of(view), headers=retry_after.header(retry_after.of_training(view)))


@blueprint.operation("GET", "/<training>/events", scope="read", responses=STREAM, freshness=SECRET)
def follow_training(
    session: Session, path: TrainingPath, query: EventsQuery, header: EventsHeaders
) -> Document:
    """Follow a training: its state, progress and samples, as server-sent events.

    Each event `progress` holds, as JSON, what changes of a training; the last is `end`.
    """
    return open_stream(session, "training", path.training, query, header)


@blueprint.operation(
    "POST", "/<training>/cancel", scope="jobs:write", responses={200: Training, 202: Training}
)
def cancel_training(session: Session, path: TrainingPath) -> Answer:
    """Cancel a training.

    Only the key that submitted it and keys with the scope `admin` may. Its log and samples stay. 202 while
    its worker has not noticed yet.
    """
    view = trainings.cancel(session, path.training, by=principal())
    return accepted(Training.of(view), retry_after.of_training(view))


@blueprint.operation(
    "GET",
    "/<training>/samples/<pictures>/image",
    scope="read",
    responses=stored("image/png", "The picture."),
)
def get_sample_image(session: Session, path: SamplePath, query: NoQuery) -> StoredObject:
    """Get a sample grid: odd rows are held-out pictures, even rows what the generator makes of them."""
    sample = trainings.sample(session, path.training, path.pictures)
    if sample.image_object is None:
        raise NotFound("grid", str(path.pictures), "Only its metrics were kept.")
    name = f"{path.training}-{path.pictures}.png"
    subject = Subject("sample", f"{path.training}/{path.pictures}")
    return StoredObject(sample.image_object, name, subject, REVALIDATE)


@blueprint.operation(
    "GET",
    "/<training>/log",
    scope="read",
    responses=stored("application/x-ndjson", "The log.", text=True),
)
def get_log(session: Session, path: TrainingPath, query: NoQuery) -> StoredObject:
    """Get the log as of the last checkpoint: losses and held-out metrics, one JSON object a line."""
    view = trainings.get(session, path.training)
    if view.log_object is None:
        raise NotFound("log", path.training, "It is stored with the first checkpoint.")
    return StoredObject(view.log_object, f"{view.id}.jsonl", Subject("log", view.id), REVALIDATE)


@blueprint.operation(
    "GET", "/<training>/card", scope="read", responses=stored("text/markdown", "The card.", text=True)
)
def get_card(session: Session, path: TrainingPath, query: NoQuery) -> StoredObject:
    """Get the model card of the generator that was trained."""
    view = trainings.get(session, path.training)
    if view.card_object is None:
        raise NotFound("model card", path.training, "It is written when the training has succeeded.")
    return StoredObject(view.card_object, f"{view.name}.md", Subject("card", view.id))


@blueprint.operation("DELETE", "/<training>", scope="jobs:write", responses=REMOVED)
def remove_training(session: Session, path: TrainingPath, query: NoQuery) -> None:
    """Remove a training that has ended, with its log and samples.

    Only the key that submitted it and keys with the scope `admin` may. The generator that it made
    stays.
    """
    removal.remove_training(session, path.training, by=principal())
