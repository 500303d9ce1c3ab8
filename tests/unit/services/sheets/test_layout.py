"""Layouts: each cell has one place, each tile is whole cells, and levels halve down to one pixel."""

import pytest

from services.sheets.layout import CELL, TILE, Layout, Place, Strip

LAYOUTS = [
    Layout.of_layer(1),
    Layout.of_layer(3),
    Layout.of_layer(17),
    Layout.of_layer(1280),
    Layout.of_layer(1001),
    Layout.of_poster([Strip("stem", 32), Strip("blocks.0", 5), Strip("head", 1280)]),
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_cell_has_one_place_and_titles_have_rows_of_their_own(layout: Layout) -> None:
    places = [layout.cell_at(col, row) for row in range(layout.rows) for col in range(layout.columns)]
    assert [cell for cell in places if cell is not None] == [*range(layout.cells)]
    titles = [title for row in range(layout.rows) if (title := layout.title_of(row))]
    assert titles == [strip.title for strip in layout.strips if strip.title]
    for row in range(layout.rows):
        if layout.title_of(row):
            assert {layout.cell_at(col, row) for col in range(layout.columns)} == {None}
    for outside in ((-1, 0), (layout.columns, 0), (0, -1), (0, layout.rows)):
        assert layout.cell_at(*outside) is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_levels_halve_rounded_up_from_the_sheet_to_one_pixel(layout: Layout) -> None:
    assert layout.size_of(layout.top) == layout.size == (layout.columns * CELL, layout.rows * CELL)
    assert layout.size_of(0) == (1, 1)
    for level in range(layout.top):
        width, height = layout.size_of(level + 1)
        assert layout.size_of(level) == (-(-width // 2), -(-height // 2))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiles_cover_each_level_once_and_show_the_tiles_of_the_next(layout: Layout) -> None:
    for level in range(layout.top + 1):
        columns, rows = layout.grid_of(level)
        tiles = [Place(level, col, row) for row in range(rows) for col in range(columns)]
        sizes = [layout.size_of_tile(tile) for tile in tiles]
        assert (
            sum(width * height for width, height in sizes)
            == layout.size_of(level)[0] * layout.size_of(level)[1]
        )
        assert all(1 <= side <= TILE for size in sizes for side in size)
        parts = [part for tile in tiles for part in layout.parts(tile)]
        assert len(parts) == len({*parts})
        if level < layout.top:
            below = layout.grid_of(level + 1)
            assert len(parts) == below[0] * below[1]
    assert not layout.has(Place(layout.top + 1, 0, 0))
    assert not layout.has(Place(0, 1, 0))
    assert not layout.has(Place(-1, 0, 0))


def test_a_small_sheet_is_one_picture_as_it_is_and_a_large_one_is_reduced() -> None:
    assert Layout.of_layer(1000).picture_level == Layout.of_layer(1000).top
    large = Layout.of_layer(100_000)
    assert 2048 < max(large.size_of(large.picture_level)) <= 4096
