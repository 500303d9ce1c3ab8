"""Codes such as an ascent finds, which no picture has: beyond the real ones, in one unit's direction."""

import math

import torch
from torch import Tensor

from imago_engine.synthesis.generators.prior import CodePrior

NEAREST = 16
"""Prototypes that a start is the mean of."""
LEAST, MOST = 0.3, 0.9
"""How far codes lie from that mean, in units of √directions. Real codes lie at about 1 from the mean code."""


class AscentLikeCodes:
    """Draws codes between the start of an ascent and its end: the mean of the prototypes that a direction
    favours most, and 0.3 to 0.9 times √R along that direction, in coordinates in which real codes have
    variance 1. Directions are those of differences between prototypes.

    A generator that never met such codes draws them with blown contrast and a woven grid.
    """

    def __init__(self, prior: CodePrior, device: torch.device) -> None:
        mean, axes, prototypes = (t.to(device) for t in (prior.mean, prior.axes, prior.prototypes))
        self._prior = CodePrior(mean, axes, prototypes)

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """[count, *code_shape]; `random` is a generator of the CPU."""
        prototypes = self._prior.prototypes  # [K, R]
        device, (many, rank) = prototypes.device, prototypes.shape
        pairs = torch.randint(many, (2, count), generator=random).to(device)
        jitter = torch.randn(count, rank, generator=random).to(device)
        # A little of every direction, so that no difference is 0.
        direction = prototypes[pairs[0]] - prototypes[pairs[1]] + 0.3 * jitter  # [count, R]
        direction = direction / direction.norm(dim=1, keepdim=True)
        favoured, rows = (direction @ prototypes.T).topk(min(NEAREST, many), dim=1)  # [count, 16]
        start = (favoured.softmax(1)[:, :, None] * prototypes[rows]).sum(1)  # [count, R]
        far = LEAST + (MOST - LEAST) * torch.rand(count, 1, generator=random).to(device)
        return self._prior.code(start + far * math.sqrt(rank) * direction)
