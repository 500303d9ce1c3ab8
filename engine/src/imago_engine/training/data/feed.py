"""The batches of a training: which rows each step sees, read ahead while the step before is computed."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from imago_engine.training.data.preparation import Prepared
from imago_engine.training.data.residence import Resident, free_on, size_of
from imago_engine.training.distributed.processes import ALONE, Processes
from imago_engine.training.run.placement import Placement


@dataclass(frozen=True)
class Batch:
    """One process's part of a step's pictures, on its device.

    `code` float32 [n, *code_shape] as the encoder gave it; `real` RGB in [−1, 1], [n, 3, S, S], channels
    last. `random` is the step's own generator: what differs between pictures is drawn for all `count` of the
    whole batch, in every process alike, and cut to `part`.
    """

    code: Tensor
    real: Tensor
    random: torch.Generator
    count: int
    part: slice


def batch_rows(count: int, batch: int, step: int, seed: int) -> np.ndarray:
    """The rows of step `step` (0-based), ascending: every row once an epoch, in an order that depends on seed
    and epoch only.
    """
    epoch, place = divmod(step, count // batch)
    return np.sort(_order(count, seed, epoch)[place * batch : (place + 1) * batch])


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


def as_pictures(pixels: Tensor) -> Tensor:
    """uint8 [N, S, S, 3] → RGB in [−1, 1], [N, 3, S, S], channels last in memory."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


class Feed:
    """Gives each step its batch. `waited` counts the seconds for which steps had to wait for their data.

    The data stay on the device where that is asked for, or where it is a GPU with room for them (see
    `residence`); the batches are the same.
    """

    def __init__(
        self,
        prepared: Prepared,
        batch: int,
        seed: int,
        placement: Placement,
        processes: Processes = ALONE,
        *,
        resident: bool = False,
    ) -> None:
        self._prepared, self._batch, self._seed = prepared, batch, seed
        self._placement, self._part = placement, processes.share(batch)
        self._resident: Resident | None = None
        if resident or size_of(prepared) <= free_on(placement.device):
            self._resident = Resident.of(prepared, placement.device)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._ahead: tuple[int, Future[tuple[Tensor, Tensor]]] | None = None
        self.waited = 0.0

    @property
    def residence(self) -> str:
        """Where the data are, for people."""
        size = f"{size_of(self._prepared) / 2**30:.1f} GiB of pictures and codes"
        if self._resident is not None:
            return f"{size} stay in the memory of the device"
        return f"{size} are read a batch at a time: more than half of the device's free memory"

    def take(self, step: int) -> Batch:
        """The batch of a step."""
        device = self._placement.device
        if self._resident is not None:
            pixels, code = self._resident.rows(self._rows(step))
        else:
            started = time.monotonic()
            pixels, code = self._read_ahead(step)
            self.waited += time.monotonic() - started
        return Batch(
            code=code.to(device, non_blocking=True),
            real=as_pictures(pixels.to(device, non_blocking=True)),
            random=torch.Generator().manual_seed(self._seed * 1_000_003 + step),
            count=self._batch,
            part=self._part,
        )

    def _read_ahead(self, step: int) -> tuple[Tensor, Tensor]:
        if self._ahead is not None and self._ahead[0] == step:
            read = self._ahead[1].result()
        else:
            read = self._read(step)
        self._ahead = step + 1, self._reader.submit(self._read, step + 1)
        return read

    def _read(self, step: int) -> tuple[Tensor, Tensor]:
        pixels, code = self._prepared.rows(self._rows(step))
        if self._placement.device.type == "cuda":  # so that the copy to the device does not block
            return pixels.pin_memory(), code.pin_memory()
        return pixels, code

    def _rows(self, step: int) -> np.ndarray:
        return batch_rows(self._prepared.index.train, self._batch, step, self._seed)[self._part]
