"""Where the computation runs: the device, its number type and its threads."""

import gc
import os
import sys
from dataclasses import dataclass
from typing import NoReturn

import structlog
import torch

from imago_engine.synthesis.computing.group_sizes import group_size_for
from imago_engine.synthesis.computing.thread_groups import groups_at_once

DEVICE_LOST_EXIT_CODE = 71
log = structlog.get_logger()


@dataclass(frozen=True)
class Device:
    """One device as this process uses it."""

    name: str
    description: str
    dtype: torch.dtype

    @property
    def group_size(self) -> int:
        """Items that the engine computes at once on it; pictures made with another group size differ."""
        return group_size_for(torch.device(self.name))

    @property
    def round_size(self) -> int:
        """Items of the groups that it computes at the same time."""
        return self.group_size * groups_at_once(torch.device(self.name))

    def free_cached_memory(self) -> None:
        """Hand unused blocks back. Call it outside an `except` block, whose traceback keeps tensors alive."""
        gc.collect()
        if self.name == "cuda":
            torch.cuda.empty_cache()
        elif self.name == "mps":
            torch.mps.empty_cache()


def choose_device(choice: str = "auto", threads: int | None = None) -> Device:
    """The best device at hand, or the one asked for; raises RuntimeError when that one is not there.

    `threads` bounds torch's threads on the CPU (default: torch's own choice, one a core).
    """
    if threads is not None:
        torch.set_num_threads(threads)
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    name = choice if choice != "auto" else "cuda" if cuda else "mps" if mps else "cpu"
    if (name == "cuda" and not cuda) or (name == "mps" and not mps):
        raise RuntimeError(
            f"device {name!r} was asked for, but torch {torch.__version__} finds none; use auto or cpu"
        )
    if name == "cuda":
        return Device(name, torch.cuda.get_device_name(0), torch.float32)
    if name == "mps":
        return Device(name, "Apple GPU", torch.float32)
    return Device(name, f"CPU, {torch.get_num_threads()} of {os.cpu_count()} cores", torch.float32)


def is_out_of_memory(error: BaseException) -> bool:
    """True for a device or the host running out of memory, which smaller groups may avoid."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def is_device_lost(error: BaseException) -> bool:
    """True for errors after which this process can no longer use its device (a CUDA context does not
    recover)."""
    return isinstance(error, torch.AcceleratorError)


def end_without_device(error: BaseException) -> NoReturn:
    """End this process, whose device is lost; another one gets a new one. What is in hand is not given back:
    if it did this, the crash count finds it out."""
    log.critical("device_lost", error=str(error))
    sys.stderr.flush()
    os._exit(DEVICE_LOST_EXIT_CODE)
