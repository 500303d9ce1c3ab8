"""What the codes of real pictures are like, beyond the range of each neuron: along which directions they vary
together, and some typical ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


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
