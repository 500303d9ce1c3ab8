"""Generators."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.auth import requires
from api.caching import BRIEF, conditional
from api.context import context
from api.pagination import page_response
from api.rendering import json_response
from api.schemas.base import NoQuery, PageQuery
from api.schemas.generators import Generator, GeneratorPage, GeneratorPath
from services import catalog

TAG = Tag(name="Generators", description="The networks that turn codes into images.")

blueprint = APIBlueprint("generators", __name__, url_prefix="/v1/generators", abp_tags=[TAG])


@blueprint.get("", responses={200: GeneratorPage})
@requires("read")
def list_generators(query: PageQuery) -> Response:
    """List generators by id."""
    with context().database.session() as session:
        page = catalog.list_generators(session, cursor=query.cursor, limit=query.limit)
    return conditional(page_response(GeneratorPage, page, Generator.of), BRIEF)


@blueprint.get("/<generator>", responses={200: Generator})
@requires("read")
def get_generator(path: GeneratorPath, query: NoQuery) -> Response:
    """Get a generator with the recipe parameters that suit it."""
    with context().database.session() as session:
        generator = catalog.get_generator(session, path.generator)
    return conditional(json_response(Generator.of(generator)), BRIEF)
