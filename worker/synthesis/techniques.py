"""How a picture is made: techniques by name, with their parameters checked. No torch is needed to check a
recipe."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

BoundsMode = Literal["sigma", "unit", "flat30", "none"]
SpaceMode = Literal["plain", "whitened"]
StartMode = Literal["normal", "half-normal", "prototype", "prototypes"]
FitMode = Literal["auto", "crop", "resize"]


class RecipeError(ValueError):
    """A recipe has a field or value that is not accepted; the message names both."""


@dataclass(frozen=True)
class DgnAm:
    """Deep generator network activation maximization (Nguyen et al. 2016, arXiv 1605.09304).

    The learning rate falls linearly from `learning_rate` to `learning_rate_end` over `steps`; a step moves
    the code by that much a neuron on average. `decay` multiplies the code after each clip to its bounds:
    `sigma` is [lower, μ + bounds_k·σ] of each code neuron over real pictures, `unit` [−1, 1], `flat30` [0,
    30]. `start` draws N(0, 1), or |N(0, 1)|·σ (`half-normal`). `fit` and `input_size` say how the picture
    meets the network (None: its own size). `l2` is λ of −λ‖c‖; `momentum` is heavy-ball.

    Beyond the paper, for generators that know the prior of their codes: in the `whitened` space a step moves
    the code's coordinates along the principal directions of real codes, in σ, and these stay within `radius`
    times √(number of directions) of the mean instead of `bounds`; the start `prototype` is the typical code
    whose picture excites the unit most, `prototypes` the weighted mean of the best 16. Each step may look at
    a part of the picture, magnified by 1 to `zoom` and moved by up to `jitter` pixels.
    """

    steps: int = 200
    learning_rate: float = 8.0
    learning_rate_end: float = 1e-10
    decay: float = 0.99
    bounds: BoundsMode = "sigma"
    bounds_k: float = 3.0
    space: SpaceMode = "plain"
    radius: float = 1.2
    start: StartMode = "normal"
    fit: FitMode = "auto"
    input_size: int | None = None
    jitter: int = 0
    zoom: float = 1.0
    l2: float = 0.0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        _whole("steps", self.steps, 1, 2000)
        _number("learning_rate", self.learning_rate, above=0, most=1000)
        _number("learning_rate_end", self.learning_rate_end, least=0, most=1000)
        _number("decay", self.decay, above=0, most=1)
        _choice("bounds", self.bounds, get_args(BoundsMode))
        _number("bounds_k", self.bounds_k, above=0, most=10)
        _choice("space", self.space, get_args(SpaceMode))
        _number("radius", self.radius, above=0, most=10)
        _choice("start", self.start, get_args(StartMode))
        _choice("fit", self.fit, get_args(FitMode))
        if self.input_size is not None:
            _whole("input_size", self.input_size, 8, 1024)
        _whole("jitter", self.jitter, 0, 64)
        _number("zoom", self.zoom, least=1, most=8)
        _number("l2", self.l2, least=0, most=1000)
        _number("momentum", self.momentum, least=0, below=1)


TECHNIQUES: Mapping[str, type[DgnAm]] = {"dgn-am": DgnAm}


def parameters(technique: str, values: Mapping[str, Any]) -> DgnAm:
    """The parameters of a technique from a mapping; what is left out has its default. Raises
    `RecipeError`."""
    kind = TECHNIQUES.get(technique)
    if kind is None:
        raise RecipeError(f"technique: expected one of {', '.join(TECHNIQUES)}, got {technique!r}")
    names = [field.name for field in fields(kind)]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise RecipeError(f"{unknown[0]}: not a parameter of {technique}; expected one of {', '.join(names)}")
    return kind(**values)


def _whole(field: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise RecipeError(f"{field}: expected a whole number from {least} to {most}, got {value!r}")


def _number(
    field: str,
    value: object,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
) -> None:
    # Infinity lies below and at no limit that is given; what is not a number compares false with any.
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
    if is_number and isinstance(value, int | float) and above < value < below and least <= value <= most:
        return
    limits = [
        f"{words} {limit:g}"
        for words, limit in (("above", above), ("of at least", least), ("below", below), ("of at most", most))
        if math.isfinite(limit)
    ]
    raise RecipeError(f"{field}: expected a number {' and '.join(limits)}, got {value!r}")


def _choice(field: str, value: object, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise RecipeError(f"{field}: expected one of {', '.join(accepted)}, got {value!r}")
