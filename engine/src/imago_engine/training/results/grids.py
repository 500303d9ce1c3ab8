"""Sample grids: held-out pictures beside what the generator makes of their codes."""

import numpy as np
import torch
from torch import Tensor

COLUMNS = 8
"""Of a grid: 32 pictures and what is made of them are then as high as wide."""


def tile(rgb: Tensor, columns: int) -> np.ndarray:
    """RGB in [−1, 1], [N, 3, S, S] → uint8 [rows · S, columns · S, 3]; N is a multiple of `columns`."""
    count, _, size, _ = rgb.shape
    pixels = rgb.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    grid = pixels.reshape(count // columns, columns, size, size, 3).swapaxes(1, 2)
    return grid.reshape(count // columns * size, columns * size, 3)


def comparison(real: Tensor, made: Tensor) -> np.ndarray:
    """uint8 [H, W, 3]: odd rows are real pictures, even rows their reconstructions, both [N, 3, S, S];
    N is a multiple of `COLUMNS`.
    """
    rows = [
        torch.cat([r, m]) for r, m in zip(torch.split(real, COLUMNS), torch.split(made, COLUMNS), strict=True)
    ]
    return tile(torch.cat(rows), COLUMNS)
