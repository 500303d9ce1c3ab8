"""Some rows of a batch, of which one process may have more than another, or none."""

from dataclasses import dataclass

import torch
from torch import Tensor

from imago_engine.training.distributed.processes import ALONE, Processes


@dataclass(frozen=True)
class SharedRows:
    """Rows of a batch that `processes` share, and statistics over all of them. Without `index`, all rows."""

    processes: Processes = ALONE
    index: Tensor | None = None
    """int64 [n], on the device: this process's, counted within its part of the batch."""
    total: int | None = None
    """Of all processes; None for all rows of the batch."""

    def where(self, chosen: Tensor, device: torch.device) -> "SharedRows":
        """Those of all rows for which `chosen`, bool [batch], says so."""
        index = chosen[self.processes.share(len(chosen))].nonzero().flatten().to(device)
        return SharedRows(self.processes, index, int(chosen.sum()))

    @property
    def own(self) -> Tensor:
        """`index`, of some rows."""
        assert self.index is not None
        return self.index

    @property
    def weight(self) -> float:
        """How much this process's mean over its rows counts: the mean of all processes' weighted means is the
        mean over all rows."""
        if self.index is None or not self.total:
            return 1.0
        return len(self.index) * self.processes.size / self.total

    def taken(self, tensor: Tensor) -> Tensor:
        """This process's rows of a tensor [N, …].

        Where it has none, another one, of weight 0: it computes and tells the others as much as they tell it,
        for they would wait for it.
        """
        if self.index is None:
            return tensor
        return tensor[self.index] if len(self.index) or not self.total else tensor[:1]

    @torch.no_grad()
    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over all rows, of each process's `tensor`: its mean over what it has `taken`."""
        return self.processes.mean(tensor * self.weight if self.weight != 1 else tensor)

    @torch.no_grad()
    def variance(self, tensor: Tensor, dim: int | None = None) -> Tensor:
        """The unbiased variance over all rows, of what was `taken`: of all values, or along `dim` 0 only."""
        if self.processes.size == 1:
            return tensor.var() if dim is None else tensor.var(dim=dim)
        mean = self.mean(tensor.mean() if dim is None else tensor.mean(dim=dim))
        squares = (tensor - mean) ** 2
        spread = self.mean(squares.mean() if dim is None else squares.mean(dim=dim))
        rows = self.processes.size * len(tensor) if self.total is None else self.total
        count = rows * (tensor[0].numel() if dim is None else 1)
        return spread * count / (count - 1)


ALL = SharedRows()
"""What one process alone was given."""
