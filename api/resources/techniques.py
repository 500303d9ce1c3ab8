"""Techniques, each with the JSON Schema of its parameters, so that clients can build forms."""

from flask import Response

from api.auth import requires
from api.context import context
from api.http.caching import REVALIDATE, conditional
from api.http.rendering import json_response
from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import only_page
from api.schemas.techniques import (
    Technique,
    TechniqueListQuery,
    TechniquePage,
    TechniquePath,
    TechniqueQuery,
)
from services.base.errors import NotFound
from services.catalog import catalog
from services.pictures.recipes import offered_techniques

TAG = Tag(name="Techniques", description="How pictures can be made.")

blueprint = ApiBlueprint("techniques", __name__, url_prefix="/v1/techniques", tag=TAG)


@blueprint.get("", responses={200: TechniquePage})
@requires("read")
def list_techniques(query: TechniqueListQuery) -> Response:
    """List the techniques. There are few: all are on one page."""
    only_page(query)
    generator = _generator(query.generator)
    shown = [Technique.of(technique, generator) for technique in offered_techniques().values()]
    return conditional(json_response(TechniquePage(data=shown, next_cursor=None)), REVALIDATE)


@blueprint.get("/<technique>", responses={200: Technique})
@requires("read")
def get_technique(path: TechniquePath, query: TechniqueQuery) -> Response:
    """Get a technique with the JSON Schema of its parameters and the values that they have by default."""
    technique = offered_techniques().get(path.technique)
    if technique is None:
        raise NotFound("technique", path.technique, f"There are: {', '.join(offered_techniques())}.")
    return conditional(json_response(Technique.of(technique, _generator(query.generator))), REVALIDATE)


def _generator(id: str | None) -> catalog.Generator | None:
    """The one asked for, else the default one if there is one. Raises `NotFound` for an unknown name."""
    with context().database.session() as session:
        try:
            return catalog.get_generator(session, id)
        except NotFound:
            if id is not None:
                raise
            return None
