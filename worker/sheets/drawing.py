"""Draw the tiles of a sheet: the top level from pictures, every other from four tiles of the next."""

import io
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from services.sheets.layout import CELL, CELLS_OF_TILE, TILE, Layout, Place

MEDIA_TYPE, SUFFIX = "image/jpeg", "jpg"
GAP = 2
"""Pixels of paper at each side of a cell."""
SHOWN = CELL - 2 * GAP
PAPER, EDGE, INK = (150, 147, 141), (112, 109, 104), (24, 23, 21)
"""A middle grey, which neither glares on a dark page nor is a hole in a light one; `EDGE` outlines what is
not there."""
_LETTERS, _INDENT, _BELOW = 56, 16, CELL // 4


def encoded(tile: Image.Image) -> bytes:
    """As JPEG. The same tile gives the same bytes."""
    file = io.BytesIO()
    tile.save(file, "JPEG", quality=88, subsampling=0)
    return file.getvalue()


def decoded(data: bytes) -> Image.Image:
    """The picture in these bytes, RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def of_pictures(layout: Layout, place: Place, pictures: Mapping[int, Image.Image]) -> Image.Image:
    """A tile of the top level. `pictures` are by the number of their cell; one without is an outline."""
    tile = Image.new("RGB", layout.size_of_tile(place), PAPER)
    for down in range(CELLS_OF_TILE):
        row = place.row * CELLS_OF_TILE + down
        if row < layout.rows and (title := layout.title_of(row)):
            # Each tile draws the whole title, and shows its part.
            left, font = _INDENT - place.col * TILE, ImageFont.load_default(_LETTERS)
            ImageDraw.Draw(tile).text((left, (down + 1) * CELL - _BELOW), title, INK, font, anchor="ls")
        for right in range(CELLS_OF_TILE):
            cell = layout.cell_at(place.col * CELLS_OF_TILE + right, row)
            if cell is not None:
                draw_cell(tile, right * CELL + GAP, down * CELL + GAP, pictures.get(cell))
    return tile


def draw_cell(whole: Image.Image, left: int, top: int, picture: Image.Image | None) -> None:
    """Put a picture, or the outline of one that there is not, into the middle of `SHOWN` pixels square."""
    if picture is None:
        corners = (left, top, left + SHOWN - 1, top + SHOWN - 1)
        ImageDraw.Draw(whole).rectangle(corners, outline=EDGE, width=2)
        return
    shown = fitted(picture)
    whole.paste(shown, (left + (SHOWN - shown.width) // 2, top + (SHOWN - shown.height) // 2))


def of_tiles(layout: Layout, place: Place, parts: Mapping[Place, bytes]) -> Image.Image:
    """A tile of any other level, from the tiles of the next one that it shows."""
    whole = Image.new("RGB", (2 * TILE, 2 * TILE), PAPER)
    for part, data in parts.items():
        whole.paste(decoded(data), ((part.col - 2 * place.col) * TILE, (part.row - 2 * place.row) * TILE))
    width = sum(layout.size_of_tile(part)[0] for part in parts if part.row == 2 * place.row)
    height = sum(layout.size_of_tile(part)[1] for part in parts if part.col == 2 * place.col)
    # Halves round up, as the sizes of levels do.
    return whole.crop((0, 0, width, height)).reduce(2)


def of_level(layout: Layout, level: int, tiles: Mapping[Place, bytes]) -> Image.Image:
    """All of a level in one picture."""
    whole = Image.new("RGB", layout.size_of(level), PAPER)
    for place, data in tiles.items():
        whole.paste(decoded(data), (place.col * TILE, place.row * TILE))
    return whole


def fitted(picture: Image.Image) -> Image.Image:
    """A picture for a cell. One that is as large as the cell loses its rim, so that it stays sharp; pixels
    of small ones are repeated."""
    if max(picture.size) == CELL:
        left, top = max(0, (picture.width - SHOWN) // 2), max(0, (picture.height - SHOWN) // 2)
        return picture.crop((left, top, min(picture.width, left + SHOWN), min(picture.height, top + SHOWN)))
    scale = SHOWN / max(picture.size)
    if scale >= 2:
        times = int(scale)
        return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)
