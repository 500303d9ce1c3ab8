"""Draw the tiles of a sheet: the top level from pictures, every other from four tiles of the next."""

import io
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from services.sheets.layout import CELL, CELLS_OF_TILE, TILE, Layout, Place

MEDIA_TYPE, SUFFIX = "image/jpeg", "jpg"
GAP = 2
"""White pixels at each side of a cell."""
SHOWN = CELL - 2 * GAP
PAPER, NOTHING, INK = (255, 255, 255), (236, 236, 236), (40, 40, 40)
_LETTERS = 56


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
    """A tile of the top level. `pictures` are by the number of their cell; a cell without one is grey."""
    tile = Image.new("RGB", layout.size_of_tile(place), PAPER)
    for down in range(CELLS_OF_TILE):
        row = place.row * CELLS_OF_TILE + down
        if row < layout.rows and (title := layout.title_of(row)):
            # Each tile draws the whole title, and shows its part.
            left, font = GAP - place.col * TILE, ImageFont.load_default(_LETTERS)
            ImageDraw.Draw(tile).text((left, down * CELL + CELL - GAP), title, INK, font, anchor="ls")
        for right in range(CELLS_OF_TILE):
            cell = layout.cell_at(place.col * CELLS_OF_TILE + right, row)
            if cell is not None:
                shown = fitted(pictures[cell]) if cell in pictures else None
                corner = right * CELL + GAP, down * CELL + GAP
                if shown is None:
                    tile.paste(NOTHING, (*corner, corner[0] + SHOWN, corner[1] + SHOWN))
                else:
                    tile.paste(
                        shown,
                        (corner[0] + (SHOWN - shown.width) // 2, corner[1] + (SHOWN - shown.height) // 2),
                    )
    return tile


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
