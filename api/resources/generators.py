"""Generators: what there is, and new ones by training."""

from flask import Response

from api.auth import principal, requires
from api.context import context
from api.http.caching import BRIEF, conditional
from api.http.rendering import REMOVED, json_response, removed
from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import page_response
from api.resources.trainings import as_it_stands
from api.schemas.base import NoQuery, PageQuery
from api.schemas.generators import Generator, GeneratorPage, GeneratorPath
from api.schemas.trainings import TrainGenerator, TrainHeaders, Training
from services.base.states import Lane
from services.catalog import catalog, removal
from services.trainings import trainings

TAG = Tag(name="Generators", description="The networks that turn codes into images.")

blueprint = ApiBlueprint("generators", __name__, url_prefix="/v1/generators", tag=TAG)


@blueprint.get("", responses={200: GeneratorPage})
@requires("read")
def list_generators(query: PageQuery) -> Response:
    """List generators by id."""
    with context().database.session() as session:
        page = catalog.list_generators(session, cursor=query.cursor, limit=query.limit)
    return conditional(page_response(GeneratorPage, page, Generator.of), BRIEF)


@blueprint.post("", responses={200: Training, 202: Training})
@requires("jobs:write")
def train_generator(header: TrainHeaders, body: TrainGenerator) -> Response:
    """Have a generator trained.

    A worker takes the training when nobody waits for pictures, and makes way when somebody does. The answer
    is the training; the generator can be used once that has succeeded.
    """
    with context().database.session() as session:
        submitted = trainings.submit(
            session,
            body.name,
            body.training,
            owner=principal().key_id,
            idempotency_key=header.idempotency_key,
            data_root=context().settings.data_root,
        )
        view = trainings.get(session, submitted.id)
    context().doorbell.ring(Lane.BULK)
    response = as_it_stands(view)
    response.headers["Location"] = Training.of(view).links.self
    if not submitted.created:
        response.headers["Idempotency-Replayed"] = "true"
    return response


@blueprint.get("/<generator>", responses={200: Generator})
@requires("read")
def get_generator(path: GeneratorPath, query: NoQuery) -> Response:
    """Get a generator with the recipe parameters that suit it."""
    with context().database.session() as session:
        generator = catalog.get_generator(session, path.generator)
    return conditional(json_response(Generator.of(generator)), BRIEF)


@blueprint.delete("/<generator>", responses={204: REMOVED})
@requires("jobs:write")
def remove_generator(path: GeneratorPath, query: NoQuery) -> Response:
    """Remove a generator that nothing needs.

    Only the key that had it trained and keys with the scope `admin` may. 409 says what needs it: pictures, a
    training, or that it is the default one.
    """
    with context().database.session() as session:
        removal.remove_generator(session, path.generator, by=principal())
    return removed()
