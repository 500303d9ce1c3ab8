"""The ways to train a generator, by the names that `--preset` takes."""

from worker.training.recipes.contract import Context, OptionsError, Recipe, read_options
from worker.training.recipes.deepsim import DeepsimRecipe
from worker.training.recipes.projected import ProjectedRecipe

PRESETS: dict[str, type[Recipe]] = {recipe.preset.id: recipe for recipe in (ProjectedRecipe, DeepsimRecipe)}

__all__ = ["PRESETS", "Context", "OptionsError", "Recipe", "preset_named", "read_options"]


def preset_named(name: str) -> type[Recipe]:
    """Raises OptionsError for a name that is none."""
    if name not in PRESETS:
        raise OptionsError(f"preset {name!r} is unknown; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
