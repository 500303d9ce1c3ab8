"""Limits of a code: what its neurons can be for a real picture."""

from dataclasses import dataclass

import torch
from torch import Tensor

from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.techniques.dgn_am import BoundsMode


@dataclass(frozen=True)
class Bounds:
    """Limits of each neuron of a code."""

    lower: Tensor | None
    """[*code_shape], or what broadcasts to it; None where there is no limit."""
    upper: Tensor | None
    """The same."""

    @classmethod
    def of(cls, generator: Generator, mode: BoundsMode, k: float) -> "Bounds":
        """Bounds in float32 on the generator's device; `k` counts σ and matters for mode `sigma` alone."""
        mean, std = generator.code_mean.float(), generator.code_std.float()
        if mode == "sigma":
            return cls(generator.code_lower.float(), mean + k * std)
        if mode == "none":
            return cls(None, None)
        low, high = (-1.0, 1.0) if mode == "unit" else (0.0, 30.0)
        return cls(torch.full_like(mean, low), torch.full_like(mean, high))

    def clip(self, code: Tensor) -> Tensor:
        """Code [N, *code_shape] with every value within its limits."""
        if self.lower is None and self.upper is None:
            return code
        return code.clamp(self.lower, self.upper)
