"""Which part of the input a unit sees, computed from kernel, stride, padding and dilation of what lies before
it.

The theoretical field is meant (as in Nguyen et al. 2016, where a hidden unit's picture is cropped to it). A
layer's statistics over the whole picture (group norm, squeeze-and-excitation gates) are not counted: they
colour what a unit sees, they do not place it.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle in pixels; `right` and `bottom` are exclusive. The order is that of `PIL.Image.crop`."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Extent:
    """One axis: unit i sees the pixels from `start + i·stride`, `size` of them. `start` is negative with
    padding."""

    start: int = 0
    stride: int = 1
    size: int = 1

    def through_window(self, kernel: int, stride: int, padding: int = 0, dilation: int = 1) -> "Extent":
        """The extent after a convolution or pooling over this axis; `padding` is that before the first
        unit."""
        return Extent(
            self.start - padding * self.stride,
            self.stride * stride,
            self.size + (kernel - 1) * dilation * self.stride,
        )

    def joined(self, other: "Extent") -> "Extent | None":
        """What units that read both see; None where the two grids differ."""
        if self.stride != other.stride:
            return None
        start = min(self.start, other.start)
        return Extent(start, self.stride, max(self.start + self.size, other.start + other.size) - start)

    def interval(self, index: int) -> tuple[int, int]:
        """First pixel and the one after the last of what unit `index` sees; may reach over the image's
        edges."""
        first = self.start + index * self.stride
        return first, first + self.size


@dataclass(frozen=True)
class ReceptiveField:
    """The field of a layer's units along rows (y) and columns (x) of the network's input."""

    rows: Extent = Extent()
    columns: Extent = Extent()

    @property
    def size(self) -> int:
        """The longer side in pixels, edges of the image not considered."""
        return max(self.rows.size, self.columns.size)

    @property
    def stride(self) -> int:
        """Pixels between neighbouring units (the larger of both axes)."""
        return max(self.rows.stride, self.columns.stride)

    def box(self, position: tuple[int, int], input_size: int) -> Box | None:
        """Pixels of a square input that the unit at `position` (y, x) sees, or None where it sees all of
        it."""
        top, bottom = (min(max(edge, 0), input_size) for edge in self.rows.interval(position[0]))
        left, right = (min(max(edge, 0), input_size) for edge in self.columns.interval(position[1]))
        box = Box(left, top, right, bottom)
        return None if box == (0, 0, input_size, input_size) else box
