"""Differentiable augmentation, drawn once and applied to a real picture and its reconstruction alike (Zhao et
al. 2020).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

NUMBERS = 5
"""Random numbers of a picture."""
SHIFT, ZOOM = 0.25, 0.15
"""How far: in half picture widths (0.25 = an eighth of the picture), and relative."""


@dataclass(frozen=True)
class Augmentation:
    """One draw for a batch: `grid` [N, s, s, 2] samples (and resizes) the picture, `saturation` and
    `brightness` are [N, 1, 1, 1].
    """

    grid: Tensor
    saturation: Tensor
    brightness: Tensor

    @classmethod
    def draw(cls, count: int, size: int, random: torch.Generator) -> "Augmentation":
        """`size` is that of the result in pixels."""
        return cls.of(torch.rand(count, NUMBERS, generator=random), size)

    @classmethod
    def of(cls, drawn: Tensor, size: int) -> "Augmentation":
        """Of numbers [N, 5] that were drawn evenly from [0, 1), on their device."""
        uniform = drawn * 2 - 1
        scale = torch.exp(uniform[:, 0] * ZOOM)
        theta = torch.zeros(len(drawn), 2, 3, device=drawn.device)
        theta[:, 0, 0] = theta[:, 1, 1] = scale
        theta[:, :, 2] = uniform[:, 1:3] * SHIFT
        grid = F.affine_grid(theta, [len(drawn), 3, size, size], align_corners=False)
        colour = uniform[:, 3:, None, None, None]
        return cls(grid, 1 + 0.5 * colour[:, 0], 0.4 * colour[:, 1])

    def __call__(self, rgb: Tensor) -> Tensor:
        """RGB in [−1, 1], [N, 3, S, S] → [N, 3, s, s]; values may leave [−1, 1] a little."""
        x = F.grid_sample(rgb, self.grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        grey = x.mean(1, keepdim=True)
        return (x - grey) * self.saturation + grey + self.brightness


def mirrored(pictures: Tensor, codes: Tensor, flip: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [N, 3, S, S] and their codes, turned left to right where `flip` [N, 1, 1, 1] says so. A code
    with places [N, C, h, w] says what is where, and is turned with its picture.
    """
    turned = torch.where(flip, pictures.flip(3), pictures)
    return turned, torch.where(flip, codes.flip(3), codes) if codes.ndim == 4 else codes
