"""The processes that train together, one a device: who they are, what they agree on, what they average.

Each process computes its share of every batch. Gradients are averaged after each backward pass, as StyleGAN3
does, because a generator and a discriminator that share a forward pass do not fit `DistributedDataParallel`'s
hooks. Statistics over a batch (batch norms, variances) are taken over the whole batch, and means over some of
its rows over all of these (`shared_rows`), so that a training has the same losses however many processes
compute it, up to rounding.
"""

import datetime
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = datetime.timedelta(days=1)
"""How long processes wait for each other: the first one may have to read millions of pictures before."""


@dataclass(frozen=True)
class Processes:
    """This process's `rank` among `size`; rank 0 leads: it alone writes files and reads the clock."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the first process, which alone writes and tells."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process's part of a batch of `count`, a multiple of `size`."""
        part = count // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    @torch.no_grad()
    def mean(self, tensor: Tensor) -> Tensor:
        """The mean of all processes' tensors (of one shape), without gradient."""
        if self.size == 1:
            return tensor
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total / self.size

    def mean_with_gradient(self, tensor: Tensor) -> Tensor:
        """As `mean`, for a tensor of which every process's loss may depend."""
        return cast(Tensor, _SharedMean.apply(tensor, self))

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, averaged in zip(gradients, parts, strict=True):
            gradient.copy_(averaged.view_as(gradient))

    def agree(self, values: Sequence[float]) -> list[float]:
        """What the leader says; the others' values are ignored."""
        if self.size == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64)
        dist.broadcast(told, src=0)
        return [float(value) for value in told]

    def wait(self) -> None:
        """Until all processes are here."""
        self.agree([0.0])


ALONE = Processes()


class _SharedMean(torch.autograd.Function):
    """The mean over processes is its own gradient: every process's loss depends on every tensor alike."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.mean(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        processes: Processes = ctx.processes
        return processes.mean(gradients[0]), None


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes that `torchrun` started together, or this one alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    # What is agreed on lies in CPU memory, gradients on the device.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
