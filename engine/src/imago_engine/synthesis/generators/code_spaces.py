"""The space in which an ascent moves: the code itself, or the coordinates in which real codes are round."""

import math
from typing import Protocol

import torch
from torch import Tensor

from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.bounds import Bounds
from imago_engine.synthesis.generators.prior import CodePrior, by_itself
from imago_engine.techniques import RecipeError
from imago_engine.techniques.dgn_am import DgnAm


class CodeSpace(Protocol):
    """Points [N, *shape] in float32 stand for codes [N, *code_shape]."""

    shape: tuple[int, ...]
    """Of one point."""
    centre: Tensor
    """[*shape]: the mean code's point."""

    def code(self, points: Tensor) -> Tensor:
        """The codes of points."""
        ...

    def point(self, codes: Tensor) -> Tensor:
        """The points of codes, or those next to them."""
        ...

    def of_coordinates(self, coordinates: Tensor, prior: CodePrior) -> Tensor:
        """The points of codes that are given by their coordinates [N, R] in the generator's prior."""
        ...

    def limited(self, points: Tensor) -> Tensor:
        """What a step may lead to: the points within the limits of real codes."""
        ...


class PlainSpace:
    """A point is a code; every neuron has its own bounds (Nguyen et al. 2016)."""

    def __init__(self, generator: Generator, parameters: DgnAm) -> None:
        self.shape = generator.info.code_shape
        self.centre = generator.code_mean.float()
        self._bounds = Bounds.of(generator, parameters.bounds, parameters.bounds_k)

    def code(self, points: Tensor) -> Tensor:
        """The same: a point is a code."""
        return points

    def point(self, codes: Tensor) -> Tensor:
        """The same: a code is a point."""
        return codes

    def of_coordinates(self, coordinates: Tensor, prior: CodePrior) -> Tensor:
        return by_itself(prior.code, coordinates)

    def limited(self, points: Tensor) -> Tensor:
        """Codes within their bounds."""
        return self._bounds.clip(points)


class WhitenedSpace:
    """A point holds a code's coordinates along the principal directions of real codes, in σ.

    A step of equal size in every coordinate changes together what changes together in real codes, most where
    they vary most. Real codes lie near a sphere of radius √R around the mean: points stay within `radius` of
    that.
    """

    def __init__(self, prior: CodePrior, radius: float) -> None:
        self.shape: tuple[int, ...] = (len(prior.axes),)  # R
        self.centre = torch.zeros(self.shape, dtype=torch.float32, device=prior.axes.device)
        self._prior, self._radius = prior, radius * math.sqrt(len(prior.axes))

    def code(self, points: Tensor) -> Tensor:
        """Coordinates along the principal directions → codes."""
        return self._prior.code(points)

    def point(self, codes: Tensor) -> Tensor:
        """Codes → coordinates along the principal directions."""
        return self._prior.point(codes)

    def of_coordinates(self, coordinates: Tensor, prior: CodePrior) -> Tensor:
        return coordinates

    def limited(self, points: Tensor) -> Tensor:
        """Coordinates no farther from the mean than the radius."""
        norm = points.norm(dim=1, keepdim=True).clamp_min(1e-12)  # [N, R] → [N, 1]
        limited: Tensor = points * (self._radius / norm).clamp_max(1)
        return limited


def code_space(generator: Generator, parameters: DgnAm) -> CodeSpace:
    """The space that a recipe asks for. Raises `RecipeError` where the generator does not know it."""
    if parameters.space == "plain":
        return PlainSpace(generator, parameters)
    if generator.prior is None:
        raise RecipeError(
            "space: 'whitened' needs a generator whose file has the principal directions of its codes "
            "(code_axes); expected 'plain' for this one"
        )
    return WhitenedSpace(generator.prior, parameters.radius)
