"""Generators: what there is, and new ones by training."""

from sqlalchemy.orm import Session

from api.auth import principal
from api.context import context
from api.http import retry_after
from api.http.caching import BRIEF
from api.openapi import examples
from api.operations.answers import Answer, accepted
from api.operations.operation import REMOVED, ApiBlueprint, Tag
from api.schemas.base import NoQuery, PageQuery
from api.schemas.generators import Generator, GeneratorPage, GeneratorPath
from api.schemas.trainings import TrainGenerator, TrainHeaders, Training
from services.base.paging import Page
from services.base.states import Lane
from services.catalog import generators, removal
from services.trainings import trainings

TAG = Tag(name="Generators", description="The networks that turn codes into images.")

blueprint = ApiBlueprint("generators", __name__, url_prefix="/v1/generators", tag=TAG)


@blueprint.operation("GET", "", scope="read", responses={200: GeneratorPage}, freshness=BRIEF)
def list_generators(session: Session, query: PageQuery) -> Page[Generator]:
    """List generators by id."""
    return generators.list_generators(session, cursor=query.cursor, limit=query.limit).map(Generator.of)


@blueprint.operation(
    "POST",
    "",
    scope="jobs:write",
    responses={200: Training, 202: Training},
    example=examples.GENERATOR_BODY,
)
def train_generator(session: Session, header: TrainHeaders, body: TrainGenerator) -> Answer:
    """Have a generator trained.

    A worker takes the training when nobody waits for pictures, and makes way when somebody does. The answer
    is the training; the generator can be used once that has succeeded.
    """
    submitted = trainings.submit(
        session,
        body.name,
        body.training,
        owner=principal().key_id,
        idempotency_key=header.idempotency_key,
        data_root=context().settings.data_root,
    )
    view = trainings.get(session, submitted.id)
    shown = Training.of(view)
    retry = retry_after.of_training(view)
    return accepted(shown, retry, shown.links.self, replayed=not submitted.created, ring=Lane.BULK)


@blueprint.operation("GET", "/<generator>", scope="read", responses={200: Generator}, freshness=BRIEF)
def get_generator(session: Session, path: GeneratorPath, query: NoQuery) -> Generator:
    """Get a generator with the recipe parameters that suit it."""
    return Generator.of(generators.get_generator(session, path.generator))


@blueprint.operation("DELETE", "/<generator>", scope="jobs:write", responses=REMOVED)
def remove_generator(session: Session, path: GeneratorPath, query: NoQuery) -> None:
    """Remove a generator that nothing needs.

    Only the key that had it trained and keys with the scope `admin` may. 409 says what needs it: pictures, a
    training, or that it is the default one.
    """
    removal.remove_generator(session, path.generator, by=principal())
