"""The ways to train a generator, by the names that `--preset` takes."""

from imago_engine.training.options import OptionsError, read_options
from imago_engine.training.recipes.deepsim.recipe import DeepsimRecipe
from imago_engine.training.recipes.projected import ProjectedRecipe
from imago_engine.training.recipes.recipe import Context, Recipe

PRESETS: dict[str, type[Recipe]] = {recipe.preset.id: recipe for recipe in (ProjectedRecipe, DeepsimRecipe)}

__all__ = ["PRESETS", "Context", "OptionsError", "Recipe", "preset_named", "read_options"]


def preset_named(name: str) -> type[Recipe]:
    """Raises OptionsError for a name that is none."""
    if name not in PRESETS:
        raise OptionsError(f"preset {name!r} is unknown; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
