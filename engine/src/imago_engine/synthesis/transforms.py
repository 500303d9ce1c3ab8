"""What the network sees of a picture at one step: a part of it, moved. What is to be seen whatever is done to
it is a thing; what excites a unit once only is noise.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from imago_engine.synthesis.fitting import shifted
from imago_engine.techniques.dgn_am import DgnAm


class Transforms:
    """Every item's own transforms, drawn beforehand so that they do not depend on its batch."""

    def __init__(self, parameters: DgnAm, draws: Sequence[torch.Generator], device: torch.device) -> None:
        steps, jitter = parameters.steps, parameters.jitter
        self._shifts: Tensor | None = None  # [N, steps, 2]
        self._zooms: Tensor | None = None  # [N, steps, 3]: scale, and the centre (x, y) in [−1, 1]
        if jitter:
            shifts = [
                torch.randint(-jitter, jitter + 1, (steps, 2), generator=draw, device="cpu") for draw in draws
            ]
            self._shifts = torch.stack(shifts).to(device)  # N × [steps, 2] → [N, steps, 2]
        if parameters.zoom > 1:
            drawn = torch.stack(
                [torch.rand(steps, 3, generator=draw, dtype=torch.float32, device="cpu") for draw in draws]
            )  # [N, steps, 3]
            scale = torch.exp(-drawn[..., :1] * math.log(parameters.zoom))  # [N, steps, 1]
            centre = (2 * drawn[..., 1:] - 1) * (1 - scale)  # [N, steps, 2]
            self._zooms = torch.cat([scale, centre], dim=2).to(device)

    def __call__(self, x: Tensor, items: Tensor, step: int) -> Tensor:
        """Network inputs [M, 3, S, S] → the same shape, as `items` [M] see them at a step."""
        if self._zooms is not None:
            x = magnified(x, self._zooms[items, step])
        if self._shifts is not None:
            x = shifted(x, self._shifts[items, step])
        return x


def magnified(x: Tensor, zooms: Tensor) -> Tensor:
    """Resample the part of each picture of [N, 3, S, S] that `zooms` [N, 3] name (its share of the side, its
    centre's x and y in [−1, 1]) to the whole.
    """
    scale, centre = zooms[:, 0], zooms[:, 1:]  # [N], [N, 2]
    rows = torch.zeros(len(x), 2, 3, dtype=torch.float32, device=x.device)
    rows[:, 0, 0] = rows[:, 1, 1] = scale
    rows[:, :, 2] = centre
    grid = F.affine_grid(rows, list(x.shape), align_corners=False).to(x.dtype)  # [N, S, S, 2]
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
