"""Where the computation runs: the device, its number type and its threads."""

import gc
import os
from dataclasses import dataclass
from typing import Literal

import torch

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]
MEMORY_SHARE = 0.8
"""Share of a device's memory that a batch may be expected to fill: the allocator fragments and convolutions
need workspace."""


@dataclass(frozen=True)
class Device:
    """One device as this process uses it. `memory_bytes` is None where a batch's peak cannot be measured."""

    name: str
    description: str
    dtype: torch.dtype
    memory_bytes: int | None

    @property
    def first_batch(self) -> int:
        """Items of a first batch of unknown cost: enough to keep the device busy, few enough to show a
        picture soon."""
        return 4 if self.name == "cpu" else 16

    def start_measuring_memory(self) -> None:
        if self.name == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def peak_bytes(self) -> int | None:
        """Most memory that tensors held since `start_measuring_memory`; None where the device does not
        tell."""
        return torch.cuda.max_memory_allocated() if self.name == "cuda" else None

    def free_cached_memory(self) -> None:
        """Hand unused blocks back. Call it outside an `except` block, whose traceback keeps tensors alive."""
        gc.collect()
        if self.name == "cuda":
            torch.cuda.empty_cache()
        elif self.name == "mps":
            torch.mps.empty_cache()


def choose_device(choice: DeviceChoice = "auto", threads: int | None = None) -> Device:
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
        properties = torch.cuda.get_device_properties(0)
        return Device(name, properties.name, torch.float32, int(properties.total_memory * MEMORY_SHARE))
    if name == "mps":
        return Device(name, "Apple GPU", torch.float32, None)
    return Device(name, f"CPU, {torch.get_num_threads()} of {os.cpu_count()} cores", torch.float32, None)


def is_out_of_memory(error: BaseException) -> bool:
    """True for a device or the host running out of memory, which a smaller batch may avoid."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def is_device_lost(error: BaseException) -> bool:
    """True for errors after which this process can no longer use its device (a CUDA context does not
    recover)."""
    return isinstance(error, torch.AcceleratorError)
