"""The ways to train a generator, by the names that `--preset` takes."""

from worker.training.recipes.contract import Context, OptionsError, Recipe, RecipeOptions
from worker.training.recipes.deepsim import DeepsimRecipe
from worker.training.recipes.projected import ProjectedRecipe

PRESETS: dict[str, type[Recipe]] = {"default": ProjectedRecipe, "deepsim": DeepsimRecipe}

__all__ = ["PRESETS", "Context", "OptionsError", "Recipe", "RecipeOptions", "preset_named"]


def preset_named(name: str) -> type[Recipe]:
    """Raises OptionsError for a name that is none."""
    if name not in PRESETS:
        raise OptionsError(f"preset {name!r} is unknown; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
