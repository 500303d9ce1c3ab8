"""Pictures and codes in a device's memory: each step takes its batch there, without a copy from the host."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from imago_engine.training.data.preparation import Prepared

LARGEST_SHARE = 0.5
"""Of the memory that is free on a GPU: the rest is for networks and what they remember of a batch."""


@dataclass(frozen=True)
class Resident:
    """The rows that are trained on: uint8 [N, S, S, 3] and float32 [N, *code_shape], on one device."""

    images: Tensor
    codes: Tensor

    @classmethod
    def of(cls, prepared: Prepared, device: torch.device) -> Self:
        """Read all of it once. On the CPU that is a copy too: no step waits for the disk."""
        train = prepared.index.train
        parts = (torch.from_numpy(array[:train]) for array in (prepared.images, prepared.codes))
        return cls(*(part.to(device, copy=True) for part in parts))

    def rows(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """As `Prepared.rows`, on the device."""
        where = torch.from_numpy(rows)
        if self.images.is_cuda:
            where = where.pin_memory().to(self.images.device, non_blocking=True)
        return self.images.index_select(0, where), self.codes.index_select(0, where)


def size_of(prepared: Prepared) -> int:
    """Bytes of what is trained on."""
    return sum(array[: prepared.index.train].nbytes for array in (prepared.images, prepared.codes))


def free_on(device: torch.device) -> int:
    """Bytes that may be taken for data without being asked to: some of a GPU's memory, none elsewhere, where
    what is mapped is in memory anyway.
    """
    if device.type != "cuda":
        return 0
    return int(LARGEST_SHARE * torch.cuda.mem_get_info(device)[0])
