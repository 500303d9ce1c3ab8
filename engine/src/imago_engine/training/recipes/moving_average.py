"""An exponential moving average of a network's parameters and buffers: what is shipped."""

import copy

import torch
from torch import nn


class MovingAverage:
    """`module` follows the source with the given decay per step, faster at the beginning of a training."""

    def __init__(self, source: nn.Module, decay: float = 0.998) -> None:
        self.module = copy.deepcopy(source).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, source: nn.Module, step: int) -> None:
        decay = min(self.decay, (step + 1) / (step + 10))
        own, theirs = self.module.state_dict(), source.state_dict()
        floats = [name for name, tensor in own.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([own[n] for n in floats], [theirs[n] for n in floats], 1 - decay)
        for name in own.keys() - set(floats):
            own[name].copy_(theirs[name])
