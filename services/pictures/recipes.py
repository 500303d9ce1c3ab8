"""Recipes of jobs: settled by request, generator and technique, and checked against the generator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from imago_engine.specs import Recipe
from imago_engine.techniques import Need, all_techniques, technique_named
from imago_engine.techniques.automatic import WITH_GENERATOR
from services.base.errors import FieldError, Invalid, field_errors, pointer


@dataclass(frozen=True)
class OtherVersion:
    """A version of a technique that this release does not compute.

    `named` is for people, to go on with within a sentence; `later`: a later release does compute it.
    """

    named: str
    later: bool


def other_version(technique: str, version: str) -> OtherVersion | None:
    """None for the version that this release computes: pictures are named by it, so no other may be made."""
    found = all_techniques().get(technique)
    if found is None:
        return OtherVersion(f"version {version} of {technique}, which is no technique any more", later=False)
    if found.version == version:
        return None
    if version.isdecimal() and int(version) > int(found.version):
        named = f"version {version} of {technique}, of which this release has version {found.version}"
        return OtherVersion(named, later=True)
    named = f"version {version} of {technique}, which has version {found.version} now"
    return OtherVersion(named, later=False)


def needs_generator(technique: str) -> bool:
    """Whether it makes pictures of codes. Raises `RecipeError` for a technique that there is not."""
    return Need.GENERATOR in technique_named(technique).needs


def cost_of(recipe: Recipe) -> tuple[str, int, int | None]:
    """What the time of an item depends on: technique, steps, and the size of the input, None for the
    network's own.
    """
    return recipe.technique, int(recipe.parameters["steps"]), recipe.parameters.get("input_size")


def check_prior(recipe: Recipe, generator: str, has_prior: bool) -> None:
    """Raises `Invalid` for a recipe that needs to know what real codes are like, where the generator does
    not.
    """
    there = [Need.GENERATOR, Need.PRIOR] if has_prior else [Need.GENERATOR]
    wrong = [
        FieldError(
            pointer("recipe", "parameters", unmet.parameter),
            f"{unmet.value!r} needs the prior of the codes, which the file of generator "
            f"{generator!r} does not have; expected {' or '.join(unmet.accepted)}",
        )
        for unmet in technique_named(recipe.technique).unmet(recipe.parameters, there)
    ]
    if wrong:
        raise Invalid(wrong)


def resolve(technique: str, parameters: Mapping[str, Any], suiting: Mapping[str, Any]) -> Recipe:
    """Settle each parameter: as asked for in `parameters`, else as it suits, else the technique's default.

    `suiting` are, for dgn-am, the parameters that the generator recommends. Raises `Invalid` with pointers
    below `/recipe`.
    """
    found = all_techniques().get(technique)
    if found is None:
        accepted = ", ".join(all_techniques())
        raise Invalid.field(pointer("recipe", "technique"), f"is one of: {accepted}; got {technique!r}")
    try:
        return Recipe(technique, found.settled({**suiting, **parameters}))
    except ValidationError as error:
        known = found.Parameters.model_fields
        raise Invalid(field_errors(error, "recipe", "parameters", known=known)) from None


def recommended_for(technique: str, recommended: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a generator recommends to a technique: its recommendations are parameters of dgn-am."""
    return recommended if technique == WITH_GENERATOR else {}
