"""Techniques and their parameters. A recipe is a technique with every parameter settled.

The parameters are those of the engine's technique of the same name; the engine itself is not imported, so
that what validates a request need not load torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.canonical import sha256_of
from services.errors import FieldError, Invalid, field_errors, pointer


class DgnAm(BaseModel):
    """DGN-AM: activation maximization in the code space of a learned generator (Nguyen et al. 2016)."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    steps: Annotated[int, Field(ge=1, le=2000, description="Steps of the ascent")] = 200
    learning_rate: Annotated[
        float,
        Field(gt=0, le=1000, description="First step's mean absolute change of a code neuron"),
    ] = 8.0
    learning_rate_end: Annotated[
        float, Field(ge=0, le=1000, description="The same at the end; it falls linearly")
    ] = 1e-10
    decay: Annotated[
        float, Field(gt=0, le=1, description="Factor on the code after each step; 1 keeps it as it is")
    ] = 0.99
    bounds: Annotated[
        Literal["sigma", "unit", "flat30", "none"],
        Field(
            description="Limits of each code neuron: its own statistics over real images (sigma),"
            " [-1, 1] (unit), [0, 30] (flat30), or no limit"
        ),
    ] = "sigma"
    bounds_k: Annotated[
        float, Field(gt=0, le=10, description="With sigma bounds: how many σ above μ the upper limit lies")
    ] = 3.0
    space: Annotated[
        Literal["plain", "whitened"],
        Field(
            description="What a step moves: the code's neurons within bounds, or its coordinates along the"
            " principal directions of real codes within a radius"
        ),
    ] = "plain"
    radius: Annotated[
        float,
        Field(
            gt=0,
            le=10,
            description="In the whitened space, how far from the mean code: 1 is usual for real codes",
        ),
    ] = 1.2
    start: Annotated[
        Literal["normal", "half-normal", "prototype", "prototypes"],
        Field(
            description="First code: N(0, 1), the absolute value of it times the neuron's σ, the typical"
            " code whose image excites the unit most (seeds 0 to 15 take the best 16 in turn), or the mean of"
            " the best 16, weighted by how much (prototypes; seeds 1 to 15 lean to one of them)"
        ),
    ] = "normal"
    fit: Annotated[
        Literal["auto", "crop", "resize"],
        Field(
            description="From image to network input: centre crop, bilinear resize, or (auto) a crop where"
            " the image is large enough, else a resize"
        ),
    ] = "auto"
    input_size: Annotated[
        int | None,
        Field(ge=8, le=1024, description="Side of the network's input in pixels; null for its own"),
    ] = None
    jitter: Annotated[
        int, Field(ge=0, le=64, description="Largest random shift of the image at each step, in pixels")
    ] = 0
    zoom: Annotated[
        float,
        Field(ge=1, le=8, description="Largest random magnification of a part of the image at each step"),
    ] = 1.0
    l2: Annotated[float, Field(ge=0, le=1000, description="Weight of the penalty on the code's norm")] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1, description="Share of the last update in the next")] = 0.0


TECHNIQUES: Mapping[str, type[DgnAm]] = {"dgn-am": DgnAm}
"""Every technique by name, with the model whose JSON Schema is served."""


@dataclass(frozen=True)
class Recipe:
    """A technique with every parameter settled, as plain JSON values."""

    technique: str
    parameters: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        return sha256_of({"technique": self.technique, "parameters": dict(self.parameters)})


def cost_of(recipe: Recipe) -> tuple[str, int, int | None]:
    """What the time of an item depends on: technique, steps, and the size of the input, None for the
    network's own.
    """
    return recipe.technique, int(recipe.parameters["steps"]), recipe.parameters.get("input_size")


def check_prior(recipe: Recipe, generator: str, has_prior: bool) -> None:
    """Raises `Invalid` for a recipe that needs to know what real codes are like, where the generator does
    not.
    """
    needing = {
        "space": (("whitened",), "plain"),
        "start": (("prototype", "prototypes"), "normal or half-normal"),
    }
    wrong = [
        FieldError(
            pointer("recipe", "parameters", name),
            f"{recipe.parameters[name]!r} needs the prior of the codes, which the file of generator "
            f"{generator!r} does not have; expected {accepted}",
        )
        for name, (values, accepted) in needing.items()
        if not has_prior and recipe.parameters.get(name) in values
    ]
    if wrong:
        raise Invalid(wrong)


def resolve(requested: Mapping[str, Any], recommended: Mapping[str, Any]) -> Recipe:
    """Settle each parameter: as requested, else as the generator recommends, else the technique's default.

    `requested` is `{"technique"?, "parameters"?}` of a job, `recommended` the parameters that suit the
    generator. Raises `Invalid` with pointers below `/recipe`.
    """
    technique = requested.get("technique", "dgn-am")
    model = TECHNIQUES.get(technique)
    if model is None:
        accepted = ", ".join(TECHNIQUES)
        raise Invalid.field(pointer("recipe", "technique"), f"is one of: {accepted}; got {technique!r}")
    explicit = requested.get("parameters") or {}
    try:
        settled = model(**{**recommended, **explicit})
    except ValidationError as error:
        known = model.model_fields
        raise Invalid(field_errors(error, "recipe", "parameters", known=known)) from None
    return Recipe(technique, {name: _one_zero(value) for name, value in settled.model_dump().items()})


def _one_zero(value: object) -> object:
    """0.0 and -0.0 are one value with two spellings."""
    return abs(value) if isinstance(value, float) and value == 0 else value
