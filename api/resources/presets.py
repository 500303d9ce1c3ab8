"""Presets, each with the JSON Schema of the options that it alone takes, so that clients can build forms."""

from api.http.caching import BRIEF
from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import only_page
from api.schemas.base import NoQuery, PageQuery
from api.schemas.presets import Preset, PresetPage, PresetPath
from imago_engine.trainings import PRESETS
from services.base.errors import NotFound
from services.base.paging import Page

TAG = Tag(name="Presets", description="How generators can be trained.")

blueprint = ApiBlueprint("presets", __name__, url_prefix="/v1/presets", tag=TAG)


@blueprint.operation("GET", "", scope="read", responses={200: PresetPage}, freshness=BRIEF)
def list_presets(query: PageQuery) -> Page[Preset]:
    """List the presets. There are few: all are on one page."""
    return only_page(map(Preset.of, PRESETS.values()), query)


@blueprint.operation("GET", "/<preset>", scope="read", responses={200: Preset}, freshness=BRIEF)
def get_preset(path: PresetPath, query: NoQuery) -> Preset:
    """Get a preset with the JSON Schema of its options."""
    preset = PRESETS.get(path.preset)
    if preset is None:
        raise NotFound("preset", path.preset, f"There are: {', '.join(PRESETS)}.")
    return Preset.of(preset)
