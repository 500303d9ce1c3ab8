"""Techniques, each with the JSON Schema of its parameters, so that clients can build forms."""

from sqlalchemy.orm import Session

from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import only_page
from api.schemas.techniques import (
    Technique,
    TechniqueListQuery,
    TechniquePage,
    TechniquePath,
    TechniqueQuery,
)
from imago_engine.techniques import all_techniques
from services.base.errors import NotFound
from services.base.paging import Page
from services.catalog.generators import Generator, get_generator

TAG = Tag(name="Techniques", description="How pictures can be made.")

blueprint = ApiBlueprint("techniques", __name__, url_prefix="/v1/techniques", tag=TAG)


@blueprint.operation("GET", "", scope="read", responses={200: TechniquePage})
def list_techniques(session: Session, query: TechniqueListQuery) -> Page[Technique]:
    """List the techniques. There are few: all are on one page."""
    generator = _generator(session, query.generator)
    shown = [Technique.of(technique, generator) for technique in all_techniques().values()]
    return only_page(shown, query)


@blueprint.operation("GET", "/<technique>", scope="read", responses={200: Technique})
def get_technique(session: Session, path: TechniquePath, query: TechniqueQuery) -> Technique:
    """Get a technique with the JSON Schema of its parameters and the values that they have by default."""
    technique = all_techniques().get(path.technique)
    if technique is None:
        raise NotFound("technique", path.technique, f"There are: {', '.join(all_techniques())}.")
    return Technique.of(technique, _generator(session, query.generator))


def _generator(session: Session, id: str | None) -> Generator | None:
    """The one asked for, else the default one if there is one. Raises `NotFound` for an unknown name."""
    try:
        return get_generator(session, id)
    except NotFound:
        if id is not None:
            raise
        return None
