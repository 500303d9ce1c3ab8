"""Trainings of generators: look, cancel, and fetch what they leave. `POST /v1/generators` submits them."""

from http import HTTPStatus

from flask import Response

from api.auth import principal, requires
from api.context import context
from api.http.caching import FOREVER, REVALIDATE, conditional
from api.http.objects import object_response
from api.http.rendering import REMOVED, json_response, removed
from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import page_response
from api.schemas.base import NoQuery
from api.schemas.trainings import (
    RETRY_SECONDS,
    SamplePath,
    Training,
    TrainingListQuery,
    TrainingPage,
    TrainingPath,
)
from services.base.errors import NotFound
from services.catalog import removal
from services.pictures.losses import Subject
from services.trainings import trainings
from services.trainings.trainings import TrainingView

TAG = Tag(name="Trainings", description="Generators in the making.")

blueprint = ApiBlueprint("trainings", __name__, url_prefix="/v1/trainings", tag=TAG)

_ELSEWHERE = {"description": "The bytes are at `Location`, for some minutes."}
_UNCHANGED = {"description": "What the client has is what there is."}
_PICTURE = {
    "description": "The picture.",
    "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
}
_LOG = {"description": "The log.", "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
_CARD = {"description": "The card.", "content": {"text/markdown": {"schema": {"type": "string"}}}}


@blueprint.get("", responses={200: TrainingPage})
@requires("read")
def list_trainings(query: TrainingListQuery) -> Response:
    """List trainings, the newest first."""
    with context().database.session() as session:
        page = trainings.list(session, cursor=query.cursor, limit=query.limit, state=query.state)
    return conditional(page_response(TrainingPage, page, Training.of), REVALIDATE)


@blueprint.get("/<training>", responses={200: Training})
@requires("read")
def get_training(path: TrainingPath, query: NoQuery) -> Response:
    """Get a training as it stands: how far it is, its losses, its latest samples."""
    view = _get(path.training)
    response = json_response(Training.of(view))
    if not view.ended:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return conditional(response, REVALIDATE)


@blueprint.post("/<training>/cancel", responses={200: Training, 202: Training})
@requires("jobs:write")
def cancel_training(path: TrainingPath) -> Response:
    """Cancel a training.

    Only the key that submitted it and keys with the scope `admin` may. Its log and samples stay. 202 while
    its worker has not noticed yet.
    """
    with context().database.session() as session:
        view = trainings.cancel(session, path.training, by=principal())
    return as_it_stands(view)


@blueprint.get(
    "/<training>/samples/<pictures>/image", responses={200: _PICTURE, 302: _ELSEWHERE, 304: _UNCHANGED}
)
@requires("read")
def get_sample_image(path: SamplePath, query: NoQuery) -> Response:
    """Get a sample grid: odd rows are held-out pictures, even rows what the generator makes of them."""
    with context().database.session() as session:
        sample = trainings.sample(session, path.training, path.pictures)
    if sample.image_object is None:
        raise NotFound("grid", str(path.pictures), "Only its metrics were kept.")
    name = f"{path.training}-{path.pictures}.png"
    subject = Subject("sample", f"{path.training}/{path.pictures}")
    return object_response(sample.image_object, "image/png", name, REVALIDATE, subject)


@blueprint.get("/<training>/log", responses={200: _LOG, 302: _ELSEWHERE, 304: _UNCHANGED})
@requires("read")
def get_log(path: TrainingPath, query: NoQuery) -> Response:
    """Get the log as of the last checkpoint: losses and held-out metrics, one JSON object a line."""
    view = _get(path.training)
    if view.log_object is None:
        raise NotFound("log", path.training, "It is stored with the first checkpoint.")
    subject = Subject("log", view.id)
    return object_response(view.log_object, "application/x-ndjson", f"{view.id}.jsonl", REVALIDATE, subject)


@blueprint.get("/<training>/card", responses={200: _CARD, 302: _ELSEWHERE, 304: _UNCHANGED})
@requires("read")
def get_card(path: TrainingPath, query: NoQuery) -> Response:
    """Get the model card of the generator that was trained."""
    view = _get(path.training)
    if view.card_object is None:
        raise NotFound("model card", path.training, "It is written when the training has succeeded.")
    subject = Subject("card", view.id)
    return object_response(view.card_object, "text/markdown", f"{view.name}.md", FOREVER, subject)


def as_it_stands(view: TrainingView) -> Response:
    """200 once it has ended, 202 before."""
    if view.ended:
        return json_response(Training.of(view))
    return json_response(Training.of(view), HTTPStatus.ACCEPTED, {"Retry-After": str(RETRY_SECONDS)})


def _get(id: str) -> TrainingView:
    with context().database.session() as session:
        return trainings.get(session, id)


@blueprint.delete("/<training>", responses={204: REMOVED})
@requires("jobs:write")
def remove_training(path: TrainingPath, query: NoQuery) -> Response:
    """Remove a training that has ended, with its log and samples.

    Only the key that submitted it and keys with the scope `admin` may. The generator that it made
    stays.
    """
    with context().database.session() as session:
        removal.remove_training(session, path.training, by=principal())
    return removed()
