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
        shifts = None if self._shifts is None else self._shifts[items, step]
        if self._zooms is not None:
            return magnified(x, self._zooms[items, step], shifts)
        return x if shifts is None else shifted(x, shifts)


def magnified(x: Tensor, zooms: Tensor, shifts: Tensor | None = None) -> Tensor:
    """Resample the part of each picture of [N, 3, S, S] that `zooms` [N, 3] name (its share of the side, its
    centre's x and y in [−1, 1]) to the whole; then move it as `shifted` does, in the same pass.
    """
    size = x.shape[-1]
    index = torch.arange(size, dtype=torch.float32, device=x.device)  # whatever the caller's default is
    places = index.expand(len(x), 2, size)  # [N, 2, S], of columns and rows
    if shifts is not None:
        places = (places - shifts.flip(1)[:, :, None]).clamp(0, size - 1)
    scale, centre = zooms[:, :1, None], zooms[:, 1:, None]  # [N, 1, 1], [N, 2, 1]
    columns, rows = (centre + scale * ((2 * places + 1) / size - 1)).unbind(1)  # [N, S] each, in [−1, 1]
    shape = (len(x), size, size)
    grid = torch.stack([columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)], dim=3).to(x.dtype)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
