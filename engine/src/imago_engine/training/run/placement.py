"""Where a training computes, and in what numbers."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch

from imago_engine.synthesis.computing.precision import has_bfloat16_units
from imago_engine.training_jobs import DeviceChoice
from imago_engine.trainings import Precision


class PlacementError(ValueError):
    """The device that was asked for is not there."""


@dataclass(frozen=True)
class Placement:
    """With bfloat16, networks run under autocast, where the device has units for it; weights, losses and
    optimizers stay float32.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "float32"
    """What was asked for; a training that goes on elsewhere asks for it there."""
    graphs: bool = True
    """Whether a step may be recorded as a CUDA graph, where its recipe can."""
    has_units: bool = True
    """Whether the device has units for bfloat16; without any it would be some fifteen times slower in it."""

    @property
    def captures(self) -> bool:
        """Whether steps are recorded on this device."""
        return self.graphs and self.device.type == "cuda"

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.computes_in == "bfloat16")

    @property
    def computes_in(self) -> Precision:
        """The precision that was asked for, or float32 where the device has no units for that."""
        return self.precision if self.has_units else "float32"

    def description(self, processes: int) -> str:
        """E.g. `2 × NVIDIA H100, bfloat16`."""
        name = (
            torch.cuda.get_device_name(self.device)
            if self.device.type == "cuda"
            else f"CPU ({os.cpu_count()} cores)"
        )
        why = "" if self.computes_in == self.precision else f", for it has no units for {self.precision}"
        return f"{f'{processes} × ' if processes > 1 else ''}{name}, {self.computes_in}{why}"


def place(choice: DeviceChoice = "auto", precision: Precision = "float32") -> Placement:
    """The device of this process; of several processes on one machine each takes the GPU of its local rank.

    Raises PlacementError where CUDA is asked for and is not there, or has fewer devices than processes.
    """
    count = torch.cuda.device_count()
    if choice == "cpu" or (choice == "auto" and count == 0):
        return _placed(torch.device("cpu"), precision)
    if count == 0:
        raise PlacementError(
            f"--device cuda: torch {torch.__version__} finds no CUDA device; expected auto or cpu"
        )
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if local_rank >= count:
        raise PlacementError(
            f"process {local_rank + 1} of this machine has no device of its own: there are {count}; "
            f"start at most {count} with torchrun --nproc-per-node"
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return _placed(device, precision)


def _placed(device: torch.device, precision: Precision) -> Placement:
    return Placement(device, precision, has_units=has_bfloat16_units(device))
