"""What techniques share that climb a picture itself: its colours, the warps, and Adam (see
`imago_engine.techniques.canvas`). A technique adds how a field of colours is made of its points.
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from imago_engine.synthesis.climb import Climb, Context
from imago_engine.synthesis.groups import Ascent, Group, column
from imago_engine.synthesis.pictures import Item
from imago_engine.synthesis.warps import drawn_warps, warped
from imago_engine.techniques.canvas import CanvasParameters

# Square root of the colour covariance of natural pictures (Lucid), scaled so that its longest column is 1.
_COLOUR_ROOT = torch.tensor(
    [[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], dtype=torch.float32
)
COLOURS = _COLOUR_ROOT / _COLOUR_ROOT.norm(dim=0).max()
"""[3, 3]: columns are the RGB of three decorrelated colours, the first is brightness."""
BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Adam's, as usual."""


class CanvasClimb(Climb[CanvasParameters]):
    """Points are what a picture is made of; the picture is of the network's input size."""

    CONTRASTS = (0.1, 0.3, 1.0)
    """Deviations of starts for units that are off at the first one; at the last, pictures use all colours."""

    def __init__(self, context: Context[CanvasParameters], items: Sequence[Item]) -> None:
        super().__init__(context, items, context.network.device)
        parameters, self.size = context.parameters, context.input_size
        shape = self.point_shape(self.size)
        start = [torch.randn(shape, generator=draw, dtype=torch.float32, device="cpu") for draw in self.draws]
        self.points = (parameters.deviation * torch.stack(start)).to(self.device)
        self.noise = self.points / parameters.deviation
        self.warps = drawn_warps(parameters, self.size, self.draws).to(self.device)  # [N, steps, 2, 3]
        self.colours = COLOURS.to(self.device)
        self.mean = torch.zeros_like(self.points)
        self.square = torch.zeros_like(self.points)

    @abstractmethod
    def point_shape(self, size: int) -> tuple[int, ...]:
        """The shape of what a picture of `size` pixels is made of."""

    @abstractmethod
    def field(self, points: Tensor) -> Tensor:
        """Points [M, …] → the strengths [M, 3, S, S] of the decorrelated colours; 0 is grey."""

    def picture(self, points: Tensor) -> Tensor:
        """Points → RGB [M, 3, S, S] in [0, 1]."""
        field = self.field(points)  # [M, 3, S, S]
        return torch.einsum("rc,nchw->nrhw", self.colours, field).sigmoid()

    def other_starts(self, group: Group) -> Sequence[Tensor]:
        """The same noise and its negative, with more and more contrast: a unit behind a ReLU may be off in a
        picture that is nearly grey. (Three other noises of the last contrast reached 1 more of 8 units.)
        """
        noise, deviation = self.noise[group.index], self.parameters.deviation
        larger = [factor for factor in self.CONTRASTS if factor > deviation] or [deviation]
        return [sign * factor * noise for factor in larger for sign in (1, -1)]

    def transformed(self, x: Tensor, group: Group, step: int) -> Tensor:
        """Padded, cut, scaled and rotated at random, for each item."""
        return warped(x, self.warps[group.index, step])

    def moved_points(self, step: int, group: Group, here: Ascent) -> Tensor:
        """Adam, with averages of each item's own."""
        keep, (first, second) = column(here.finite, here.points), BETAS
        mean, square = self.mean[group.index], self.square[group.index]
        mean = torch.where(keep, mean.lerp(here.gradient, 1 - first), mean)
        square = torch.where(keep, square.lerp(here.gradient.square(), 1 - second), square)
        self.mean[group.kept], self.square[group.kept] = mean[: group.count], square[: group.count]
        root = (square / (1 - second ** (step + 1))).sqrt() + EPSILON
        return here.points + self.parameters.learning_rate * mean / (1 - first ** (step + 1)) / root
