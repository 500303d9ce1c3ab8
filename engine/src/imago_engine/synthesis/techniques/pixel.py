"""Pixel: points are the strengths of three decorrelated colours at each pixel."""

from collections.abc import Sequence

from torch import Tensor

from imago_engine.synthesis.canvas import CanvasClimb
from imago_engine.synthesis.climb import Context
from imago_engine.synthesis.pictures import Item
from imago_engine.techniques.canvas import CanvasParameters


def prepare(context: Context[CanvasParameters], items: Sequence[Item]) -> "PixelClimb":
    """A climb of pixels from random ones."""
    return PixelClimb(context, items)


class PixelClimb(CanvasClimb):
    """A point is the field of colours itself, [3, S, S]."""

    def point_shape(self, size: int) -> tuple[int, ...]:
        return (3, size, size)

    def field(self, points: Tensor) -> Tensor:
        return points
