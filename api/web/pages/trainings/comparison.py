"""Held-out pictures and what a training makes of them, laid upon each other, with an edge that can be moved.

A sample is a grid whose odd rows are pictures and whose even rows are their reconstructions. Drawn as SVG,
each row is a window on that one picture, so that nothing has to be cut and no style is needed.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from api.web.stored import opened
from services.pictures.losses import Subject

COLUMNS = 8
"""Of every grid."""
_HEADER = struct.Struct(">8s4x4sII")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Comparison:
    """Where the tiles of a grid lie, in its own pixels."""

    tile: int
    rows: int
    """Pairs of rows."""
    share: float
    """Of each tile, from its left, that shows the picture; its reconstruction is behind."""

    @property
    def width(self) -> int:
        """Of the grid, and of what is drawn."""
        return COLUMNS * self.tile

    @property
    def height(self) -> int:
        """Of what is drawn, half the grid's."""
        return self.rows * self.tile

    @property
    def lefts(self) -> Sequence[int]:
        """Where the columns begin."""
        return [column * self.tile for column in range(COLUMNS)]


def of_grid(object: str, training: str, pictures: int, percent: int) -> Comparison | None:
    """The comparison in a stored grid; None where it cannot be had or is none of ours."""
    file = opened(object, Subject("sample", f"{training}/{pictures}"))
    if file is None:
        return None
    with file:
        return of_size(*size_of(file.read(_HEADER.size)), percent)


def size_of(head: bytes) -> tuple[int, int]:
    """Width and height of a PNG by its first bytes; zeros where it is none."""
    if len(head) < _HEADER.size:
        return 0, 0
    signature, kind, width, height = _HEADER.unpack_from(head)
    return (width, height) if (signature, kind) == (_PNG, b"IHDR") else (0, 0)


def of_size(width: int, height: int, percent: int) -> Comparison | None:
    """The comparison in a grid of this size, None for a size that no grid has."""
    tile = width // COLUMNS
    if tile == 0 or width % COLUMNS or height == 0 or height % (2 * tile):
        return None
    return Comparison(tile, height // (2 * tile), min(max(percent, 0), 100) / 100)
