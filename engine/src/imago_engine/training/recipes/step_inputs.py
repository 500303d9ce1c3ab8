"""What a step of the default preset computes from, all of it on the device."""

from typing import NamedTuple

import torch
from torch import Tensor

from imago_engine.training.data.feed import Batch
from imago_engine.training.recipes.ascent_like import AscentLikeCodes, AscentNumbers
from imago_engine.training.recipes.augmentation import NUMBERS


class StepInputs(NamedTuple):
    """A batch, and the random numbers of its step. Their shapes are the same at every step."""

    real: Tensor
    """RGB in [−1, 1], [N, 3, S, S]."""
    code: Tensor
    """[N, *code_shape]."""
    flip: Tensor
    """bool [N, 1, 1, 1]: what is mirrored."""
    augmentation: Tensor
    """[N, 5] of [0, 1)."""
    corner: Tensor
    """int64 [2]: top and left of the part of all pictures whose pixels are judged."""
    shifts: Tensor
    """[N, 2] of [0, 1): of each picture's noise."""
    pairs: Tensor
    jitter: Tensor
    far: Tensor
    """With the two before: the `AscentNumbers` of the whole batch; empty where there are none."""


def drawn_inputs(batch: Batch, edge: int, ascent: AscentLikeCodes | None) -> StepInputs:
    """Draw a step's numbers on the CPU, whatever the device, so that it has the same ones everywhere; `edge`
    is the side in pixels of the part that is judged by its pixels.
    """
    count, random, device = batch.count, batch.random, batch.real.device
    flip = torch.rand(count, 1, 1, 1, generator=random)[batch.part] < 0.5
    augmentation = torch.rand(count, NUMBERS, generator=random)[batch.part]
    none = torch.empty(0)
    numbers = AscentNumbers(none, none, none) if ascent is None else ascent.numbers(count, random)
    corner = torch.randint(batch.real.shape[-1] - edge + 1, (2,), generator=random)
    shifts = torch.rand(count, 2, generator=random)[batch.part]
    drawn = (_moved(numbers, device) for numbers in (flip, augmentation, corner, shifts, *numbers))
    return StepInputs(batch.real, batch.code, *drawn)


def _moved(numbers: Tensor, device: torch.device) -> Tensor:
    """To the device, without waiting for it: a GPU copies from pinned memory while the CPU goes on."""
    if device.type == "cpu" or not numbers.numel():
        return numbers.to(device)
    return numbers.pin_memory().to(device, non_blocking=True)
