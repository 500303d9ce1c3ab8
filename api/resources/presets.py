"""Presets, each with the JSON Schema of the options that it alone takes, so that clients can build forms."""

from flask import Response

from api.auth import requires
from api.http.caching import BRIEF, conditional
from api.http.rendering import json_response
from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import only_page
from api.schemas.base import NoQuery, PageQuery
from api.schemas.presets import Preset, PresetPage, PresetPath
from imago_engine.trainings import PRESETS
from services.base.errors import NotFound

TAG = Tag(name="Presets", description="How generators can be trained.")

blueprint = ApiBlueprint("presets", __name__, url_prefix="/v1/presets", tag=TAG)


@blueprint.get("", responses={200: PresetPage})
@requires("read")
def list_presets(query: PageQuery) -> Response:
    """List the presets. There are few: all are on one page."""
    only_page(query)
    page = PresetPage(data=[Preset.of(preset) for preset in PRESETS.values()], next_cursor=None)
    return conditional(json_response(page), BRIEF)


@blueprint.get("/<preset>", responses={200: Preset})
@requires("read")
def get_preset(path: PresetPath, query: NoQuery) -> Response:
    """Get a preset with the JSON Schema of its options."""
    preset = PRESETS.get(path.preset)
    if preset is None:
        raise NotFound("preset", path.preset, f"There are: {', '.join(PRESETS)}.")
    return conditional(json_response(Preset.of(preset)), BRIEF)
