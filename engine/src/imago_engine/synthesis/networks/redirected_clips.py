"""Gradients through activation functions that are off, for units that have none otherwise.

A unit behind a ReLU that is off gives no gradient, and what its last activation function was given cannot
always be had: a pool or a sum may come after it, or it is a call in the network's own code. Here each
activation function gives the values that it always gives; where it is flat, its gradient is that of its
input, if that leads back to where it is not flat (Lucid's redirected gradients of ReLUs).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_CUTS = frozenset(
    {
        *(F.relu, F.relu6, F.hardtanh, F.hardswish, F.hardsigmoid, F.threshold),
        *(torch.relu, torch.threshold, torch.clamp, torch.clip, torch.clamp_min, torch.clamp_max),
        *(Tensor.relu, Tensor.clamp, Tensor.clip, Tensor.clamp_min, Tensor.clamp_max),
    }
)
"""Functions of one tensor, element by element, that are flat below or above a limit."""
_CUTS_IN_PLACE = frozenset(
    {
        *(torch.relu_, torch.clamp_, torch.clip_, torch.clamp_min_, torch.clamp_max_),
        *(Tensor.relu_, Tensor.clamp_, Tensor.clip_, Tensor.clamp_min_, Tensor.clamp_max_),
    }
)


class RedirectedClips(TorchFunctionMode):
    """While it is entered, activation functions that this thread calls have gradients where they are flat."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        x = args[0] if args else None
        if func not in _CUTS | _CUTS_IN_PLACE or not isinstance(x, Tensor) or not x.requires_grad:
            return func(*args, **options)
        in_place = options.pop("inplace", False) or func in _CUTS_IN_PLACE
        found: Tensor = _Redirected.apply(x, lambda given: func(given, *args[1:], **options))
        return x.copy_(found) if in_place else found


class _Redirected(torch.autograd.Function):
    """An elementwise function, its gradient redirected."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.enable_grad():
            given = x.detach().clone().requires_grad_()
            # Functions in place need another tensor than the leaf.
            value = function(given * 1)
            (slope,) = torch.autograd.grad(value.sum(), given)
        value = value.detach()
        ctx.save_for_backward(slope, value >= x, value <= x)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        slope, lifted, lowered = ctx.saved_tensors
        leads_back = (lifted & (gradient > 0)) | (lowered & (gradient < 0))
        return torch.where((slope == 0) & leads_back, gradient, gradient * slope), None
