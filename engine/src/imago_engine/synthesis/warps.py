"""What the network sees of a picture without a prior: Lucid's transforms (Olah, Mordvintsev and Schubert
2017, "Feature Visualization", distill.pub), in one step, so that a picture is resampled once.

The picture is padded with grey, cut at random, scaled, rotated, cut at random again, and brought to the
network's input.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from imago_engine.techniques.canvas import CanvasParameters

SCALES, ANGLES, UNROTATED = 11, 21, 5
"""Scales and angles are drawn among so many, evenly spaced; no rotation so many times more often."""
LEAST_WINDOW = 0.25
"""At least this share of the picture's side is seen, however much is cut off."""


def drawn_warps(parameters: CanvasParameters, size: int, draws: Sequence[torch.Generator]) -> Tensor:
    """Each item's transforms of all steps, [N, steps, 2, 3], drawn beforehand: they do not depend on its
    batch.
    """
    return torch.stack(
        [torch.stack([_drawn(parameters, size, draw) for _ in range(parameters.steps)]) for draw in draws]
    )


def _drawn(parameters: CanvasParameters, size: int, draw: torch.Generator) -> Tensor:
    """One transform, [2, 3]: from places in what is seen to places in the picture, both in [−1, 1]."""

    def pick(count: int) -> int:
        return int(torch.randint(count, (), generator=draw, device="cpu"))

    cuts = (parameters.jitter, parameters.jitter // 2)
    shift = [sum(pick(cut + 1) - cut / 2 for cut in cuts) * 2 / size for _ in range(2)]
    padded = size + 2 * parameters.padding
    window = (padded - sum(cuts)) / size
    if window < LEAST_WINDOW:
        # More would be cut off than there is: what is seen stays within the padded picture all the same.
        window = LEAST_WINDOW
        share = (padded - window * size) / sum(cuts)
        shift = [moved * share for moved in shift]
    zoom = window / (1 + parameters.scale * _even(pick(SCALES), SCALES))
    turned = pick(ANGLES + UNROTATED)
    angle = math.radians(parameters.rotation * _even(turned, ANGLES) if turned < ANGLES else 0)
    cosine, sine = zoom * math.cos(angle), zoom * math.sin(angle)
    return torch.tensor([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]], dtype=torch.float32)


def _even(picked: int, count: int) -> float:
    """The numbers 0 to count − 1, spread evenly from −1 to 1."""
    return picked / (count // 2) - 1


def warped(pictures: Tensor, warps: Tensor) -> Tensor:
    """Pictures [M, 3, S, S] in [0, 1] seen through `warps` [M, 2, 3]; grey lies beyond their edges."""
    grid = F.affine_grid(warps, list(pictures.shape), align_corners=False).to(pictures.dtype)
    return (
        F.grid_sample(pictures - 0.5, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + 0.5
    )
