"""What the codes of real pictures are like, beyond the range of each neuron: along which directions they vary
together, and some typical ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class CodeSamples(NamedTuple):
    """Codes of real pictures in the prior's coordinates, in 8 bits: values · scale."""

    values: Tensor
    """int8 [S, R], in no order: the first n are as good a sample as any n."""
    scale: Tensor
    """[R]: of one step of each coordinate."""

    @classmethod
    def of(cls, coordinates: Tensor) -> "CodeSamples":
        """The nearest of 8 bits to coordinates [S, R]; each coordinate's largest value fits."""
        scale = coordinates.abs().amax(0).clamp_min(1e-12) / 127
        return cls((coordinates / scale).round().to(torch.int8), scale.float())

    def first(self, count: int) -> Tensor:
        """The coordinates of `count` codes [≤ count, R] in float32."""
        return self.values[:count].float() * self.scale.float()


@dataclass(frozen=True)
class CodePrior:
    """A linear model of real codes, code ≈ mean + point · axes, and examples in its coordinates."""

    mean: Tensor
    """[*code_shape]."""
    axes: Tensor
    """[R, *code_shape]: the R strongest principal directions, each as long as one standard deviation of real
    codes along it: the coordinates of a real code have mean 0 and variance 1 and are uncorrelated.
    """
    prototypes: Tensor
    """[K, R]: the centres of K clusters of real codes."""
    samples: CodeSamples | None = None
    """Real codes as they are, where the generator's file has some."""

    def __post_init__(self) -> None:
        if self.axes.shape[1:] != self.mean.shape:
            raise ValueError(
                f"axes must have the shape [R, {', '.join(map(str, self.mean.shape))}], "
                f"got {list(self.axes.shape)}"
            )
        if self.prototypes.ndim != 2 or self.prototypes.shape[1] != len(self.axes):
            raise ValueError(
                f"prototypes must have the shape [K, {len(self.axes)}], a coordinate for each axis; "
                f"got {list(self.prototypes.shape)}"
            )
        if self.samples is not None:
            values, scale = self.samples
            if (
                values.ndim != 2
                or values.shape[1] != len(self.axes)
                or tuple(scale.shape) != values.shape[1:]
            ):
                raise ValueError(
                    f"samples must have the shape [S, {len(self.axes)}], a coordinate for each axis, and a "
                    f"scale for each; got {list(values.shape)} and {list(scale.shape)}"
                )

    def typical(self, count: int) -> Tensor:
        """The coordinates of `count` codes as real pictures have them [count, R], float32 on the CPU.

        They are the file's samples, fewer where it has fewer; of a file without any they are drawn around its
        prototypes, as far from them as gives each coordinate the variance that it has, 1. The same prior
        gives the same codes.
        """
        if self.samples is not None:
            return self.samples.first(count).cpu()
        centres, draw = self.prototypes.float().cpu(), torch.Generator().manual_seed(0)
        of = torch.randint(len(centres), (count,), generator=draw, device="cpu")
        spread = (1 - centres.var(0, correction=0)).clamp_min(0).sqrt()
        around = torch.randn(count, centres.shape[1], generator=draw, dtype=torch.float32, device="cpu")
        return centres[of] + spread * around

    def code(self, points: Tensor) -> Tensor:
        """Coordinates [N, R] → codes [N, *code_shape] in float32."""
        flat = points @ self.axes.float().flatten(1)  # [N, R] @ [R, neurons] → [N, neurons]
        return flat.view(-1, *self.mean.shape) + self.mean.float()

    def point(self, codes: Tensor) -> Tensor:
        """Codes → coordinates of the nearest points: what lies beyond the R directions is left out."""
        inverse = torch.linalg.pinv(self.axes.float().flatten(1))  # [neurons, R]
        return by_itself(lambda code: code @ inverse, (codes - self.mean).flatten(1))


def by_itself(product: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """The product of each row of [N, …] computed alone: of all at once, each one's last bits would depend on
    how many there are."""
    return torch.cat([product(row[None]) for row in rows])
