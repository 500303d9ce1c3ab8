"""How many items are computed together on a device."""

import torch

from imago_engine.synthesis.computing.precision import has_bfloat16_units

_CUDA, _LARGE, _SMALL = 32, 8, 4


def group_size_for(device: torch.device) -> int:
    """Items that go through the networks together. Pictures made with another size differ.

    A larger group costs less per item where products are fast, and a single item costs a whole group. On CPUs
    without units for bfloat16 groups of 4 cost as much per item as groups of 8 do, to a few percent, so that
    one picture alone is there in half the time.
    """
    if device.type == "cuda":
        return _CUDA
    return _SMALL if device.type == "cpu" and not has_bfloat16_units(device) else _LARGE
