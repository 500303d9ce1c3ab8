"""Where each picture lies on a sheet, and the Deep Zoom pyramid that the sheet is cut into.

A sheet consists of rows of square cells. It is made of strips, which begin in a row of their own: one,
without a title, for a layer; one for each layer, below its name, for a poster. Tiles are whole cells without
overlap, at every level that shows cells as more than a point.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

VERSION = 2
"""Part of what names a sheet: another one for another look."""
CELL, TILE = 128, 512
CELLS_OF_TILE = TILE // CELL
PICTURE_SIDE = 4096
"""The longer side of the one picture that shows all of a sheet, at most."""
_POSTER_COLUMNS = 16


class Strip(NamedTuple):
    """Cells that follow each other, below a title unless that is empty."""

    title: str
    cells: int


class Place(NamedTuple):
    """A tile of a level."""

    level: int
    col: int
    row: int


@dataclass(frozen=True)
class Layout:
    """A sheet of at least one cell."""

    columns: int
    strips: tuple[Strip, ...]

    @classmethod
    def of_layer(cls, cells: int) -> "Layout":
        """About as wide as high."""
        return cls(math.ceil(math.sqrt(cells)), (Strip("", cells),))

    @classmethod
    def of_poster(cls, strips: Sequence[Strip]) -> "Layout":
        """The same, of strips with titles."""
        cells = sum(strip.cells for strip in strips)
        return cls(max(_POSTER_COLUMNS, math.ceil(math.sqrt(cells))), tuple(strips))

    @cached_property
    def _starts(self) -> list[int]:
        """The first row of each strip, and the row behind the last one."""
        starts = [0]
        for strip in self.strips:
            starts.append(starts[-1] + bool(strip.title) + math.ceil(strip.cells / self.columns))
        return starts

    @cached_property
    def _first_cells(self) -> list[int]:
        first = [0]
        for strip in self.strips:
            first.append(first[-1] + strip.cells)
        return first

    @property
    def cells(self) -> int:
        """How many there are."""
        return self._first_cells[-1]

    @property
    def rows(self) -> int:
        """Rows of cells, those of titles too."""
        return self._starts[-1]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.columns * CELL, self.rows * CELL

    def starts(self) -> Sequence[int]:
        """The row that each strip begins in."""
        return self._starts[:-1]

    def cell_at(self, col: int, row: int) -> int | None:
        """The number of the cell in this place; None where there is none."""
        if not (0 <= col < self.columns and 0 <= row < self.rows):
            return None
        index = bisect_right(self._starts, row) - 1
        strip = self.strips[index]
        within = (row - self._starts[index] - bool(strip.title)) * self.columns + col
        return self._first_cells[index] + within if 0 <= within < strip.cells else None

    def title_of(self, row: int) -> str:
        """What stands in this row of cells instead of cells; empty for nothing."""
        index = bisect_right(self._starts, row) - 1
        starts = 0 <= row < self.rows and row == self._starts[index]
        return self.strips[index].title if starts else ""

    @property
    def top(self) -> int:
        """The level that is as large as the sheet; level 0 is one pixel."""
        return math.ceil(math.log2(max(self.size)))

    def size_of(self, level: int) -> tuple[int, int]:
        """Width and height of a level in pixels: they halve from level to level, rounded up."""
        scale = 2 ** (self.top - level)
        return -(-self.size[0] // scale), -(-self.size[1] // scale)

    def grid_of(self, level: int) -> tuple[int, int]:
        """Columns and rows of tiles of a level."""
        width, height = self.size_of(level)
        return -(-width // TILE), -(-height // TILE)

    def size_of_tile(self, place: Place) -> tuple[int, int]:
        """In pixels: those at the right and lower edge may be smaller."""
        width, height = self.size_of(place.level)
        return min(TILE, width - place.col * TILE), min(TILE, height - place.row * TILE)

    def has(self, place: Place) -> bool:
        """Whether there is such a tile."""
        if not 0 <= place.level <= self.top:
            return False
        columns, rows = self.grid_of(place.level)
        return 0 <= place.col < columns and 0 <= place.row < rows

    def parts(self, place: Place) -> Sequence[Place]:
        """The tiles of the next level that this one shows: four, fewer at the edge, none at the top."""
        below = [
            Place(place.level + 1, 2 * place.col + right, 2 * place.row + down)
            for down in (0, 1)
            for right in (0, 1)
        ]
        return [part for part in below if self.has(part)]

    @property
    def picture_level(self) -> int:
        """The largest level that is stored as one picture, too."""
        return next(level for level in range(self.top, -1, -1) if max(self.size_of(level)) <= PICTURE_SIDE)
