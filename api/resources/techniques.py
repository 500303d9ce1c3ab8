"""Techniques, each with the JSON Schema of its parameters, so that clients can build forms."""

from flask import Response

from api.auth import requires
from api.caching import BRIEF, conditional
from api.operation import ApiBlueprint, Tag
from api.rendering import json_response
from api.schemas.base import NoQuery, PageQuery
from api.schemas.techniques import Technique, TechniquePage, TechniquePath
from services.errors import NotFound
from services.recipes import TECHNIQUES

TAG = Tag(name="Techniques", description="How pictures can be made.")

blueprint = ApiBlueprint("techniques", __name__, url_prefix="/v1/techniques", tag=TAG)


@blueprint.get("", responses={200: TechniquePage})
@requires("read")
def list_techniques(query: PageQuery) -> Response:
    """List the techniques. There are few: all are on one page."""
    page = TechniquePage(data=[Technique.of(id, model) for id, model in TECHNIQUES.items()], next_cursor=None)
    return conditional(json_response(page), BRIEF)


@blueprint.get("/<technique>", responses={200: Technique})
@requires("read")
def get_technique(path: TechniquePath, query: NoQuery) -> Response:
    """Get a technique with the JSON Schema of its parameters."""
    model = TECHNIQUES.get(path.technique)
    if model is None:
        raise NotFound("technique", path.technique, f"There are: {', '.join(TECHNIQUES)}.")
    return conditional(json_response(Technique.of(path.technique, model)), BRIEF)
