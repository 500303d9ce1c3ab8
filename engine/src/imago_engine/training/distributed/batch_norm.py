"""Batch normalisation over the batch of all processes, on any device (torch's SyncBatchNorm needs CUDA)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from imago_engine.training.distributed.processes import Processes


class SharedBatchNorm(nn.Module):
    """Takes the place of a batch norm, its parameters and buffers by the same names. Input [N, C] or [N, C,
    H, W], with the same N in every process.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, replaced: _BatchNorm, processes: Processes) -> None:
        super().__init__()
        assert replaced.momentum is not None
        self.eps, self.momentum, self.processes = replaced.eps, replaced.momentum, processes
        self.weight, self.bias = replaced.weight, replaced.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(replaced, name))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        wide = x.float()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        mean = self.processes.mean_with_gradient(wide.mean(axes))
        centred = wide - mean.view(shape)
        variance = self.processes.mean_with_gradient((centred**2).mean(axes))
        with torch.no_grad():
            count = self.processes.size * x.numel() / x.shape[1]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        result: Tensor = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.weight is not None:
            result = result * self.weight.view(shape) + self.bias.view(shape)
        return result.to(x.dtype)


def share_batch_norms(network: nn.Module, processes: Processes) -> None:
    """Let every batch norm inside `network` see the whole batch; nothing changes for one process."""
    if processes.size == 1:
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, SharedBatchNorm(child, processes))
