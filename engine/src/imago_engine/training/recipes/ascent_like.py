"""Codes such as an ascent finds, which no picture has: beyond the real ones, in one unit's direction."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from imago_engine.synthesis.generators.prior import CodePrior

NEAREST = 16
"""Prototypes that a start is the mean of."""
LEAST, MOST = 0.3, 0.9
"""How far codes lie from that mean, in units of √directions. Real codes lie at about 1 from the mean code."""


class AscentNumbers(NamedTuple):
    """What is drawn of such codes, before anything is computed."""

    pairs: Tensor
    """int64 [2, N]: the prototypes whose difference is a code's direction."""
    jitter: Tensor
    """[N, R]: added to the direction."""
    far: Tensor
    """[N, 1] of [0, 1)."""


class AscentLikeCodes:
    """Draws codes between the start of an ascent and its end: the mean of the prototypes that a direction
    favours most, and 0.3 to 0.9 times √R along that direction, in coordinates in which real codes have
    variance 1. Directions are those of differences between prototypes.

    A generator that never met such codes draws them with blown contrast and a woven grid.
    """

    def __init__(self, prior: CodePrior, device: torch.device) -> None:
        mean, axes, prototypes = (t.to(device) for t in (prior.mean, prior.axes, prior.prototypes))
        self._prior = CodePrior(mean, axes, prototypes)

    def numbers(self, count: int, random: torch.Generator) -> AscentNumbers:
        """For `count` codes; `random` is a generator of the CPU, and so are the numbers."""
        many, rank = self._prior.prototypes.shape
        return AscentNumbers(
            torch.randint(many, (2, count), generator=random),
            torch.randn(count, rank, generator=random),
            torch.rand(count, 1, generator=random),
        )

    def codes(self, numbers: AscentNumbers) -> Tensor:
        """[count, *code_shape], of numbers on the device."""
        prototypes = self._prior.prototypes  # [K, R]
        many, rank = prototypes.shape
        # A little of every direction, so that no difference is 0.
        direction = (
            prototypes[numbers.pairs[0]] - prototypes[numbers.pairs[1]] + 0.3 * numbers.jitter
        )  # [count, R]
        direction = direction / direction.norm(dim=1, keepdim=True)
        favoured, rows = (direction @ prototypes.T).topk(min(NEAREST, many), dim=1)  # [count, 16]
        start = (favoured.softmax(1)[:, :, None] * prototypes[rows]).sum(1)  # [count, R]
        far = LEAST + (MOST - LEAST) * numbers.far
        return self._prior.code(start + far * math.sqrt(rank) * direction)
