"""What the tiles of a sheet look like: pictures on grey paper, outlines of missing ones, names above them."""

from PIL import Image

from services.sheets.layout import CELL, Layout, Place, Strip
from worker.sheets.drawing import EDGE, GAP, PAPER, of_pictures

RED = (200, 0, 0)


def test_a_cell_without_a_picture_is_an_outline_on_the_paper() -> None:
    layout = Layout.of_layer(2)
    tile = of_pictures(layout, Place(layout.top, 0, 0), {0: Image.new("RGB", (CELL, CELL), RED)})
    assert tile.getpixel((CELL // 2, CELL // 2)) == RED
    assert tile.getpixel((CELL + CELL // 2, CELL // 2)) == PAPER
    assert tile.getpixel((CELL + GAP, CELL // 2)) == EDGE


def test_a_name_touches_neither_the_edge_nor_the_pictures_below_it() -> None:
    layout = Layout.of_poster([Strip("blocks.4.2", 4)])
    tile = of_pictures(layout, Place(layout.top, 0, 0), {})
    name = tile.crop((0, 0, tile.width, CELL))
    inked = name.convert("L").point(lambda value: 255 * (value < 80)).getbbox()
    assert inked is not None
    left, _, _, bottom = inked
    assert left >= 16
    assert bottom <= CELL - 16
