"""Drawing the pictures of layers: a sheet a layer, and all layers in one montage."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.quality.layers.pictures import LayerPictures

COLUMNS, TILE, LABEL, GAP = 8, 144, 18, 4
SMALL, MARGIN = 60, 110
"""Of the montage: the side of a picture, and the room for a layer's name, in pixels."""


def sheet(pictures: LayerPictures) -> Image.Image:
    """Each picture over its unit, its activation and what is wrong with it; below, where units see a part
    only, those parts.
    """
    count = len(pictures.units)
    parts = [list(pictures.images)]
    if not pictures.all_is_seen:
        parts.append([pictures.seen(n) for n in range(count)])
    rows, width, height = -(-count // COLUMNS), TILE + GAP, TILE + LABEL + GAP
    drawn = Image.new("RGB", (COLUMNS * width + GAP, len(parts) * rows * height + GAP), "white")
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(size=12)
    for part, tiles in enumerate(parts):
        for n, tile in enumerate(tiles):
            left, top = GAP + n % COLUMNS * width, GAP + (part * rows + n // COLUMNS) * height
            drawn.paste(enlarged(tile, TILE), (left, top))
            middle = (left + TILE / 2, top + TILE + LABEL / 2)
            pen.text(middle, caption(pictures, n), fill="black", font=font, anchor="mm")
    return drawn


def caption(pictures: LayerPictures, n: int) -> str:
    words = [f"{pictures.units[n]}: {pictures.activations[n]:.3g}", f"±{pictures.deviation(n):.0f}"]
    if pictures.unreachable[n]:
        words.append("unreachable")
    elif pictures.is_plain(n):
        words.append("PLAIN")
    return "  ".join(words)


def montage(layers: Mapping[str, LayerPictures]) -> Image.Image:
    """A row a layer, its name and technique before its pictures."""
    columns = max(len(pictures.units) for pictures in layers.values())
    size = (MARGIN + columns * (SMALL + 2), len(layers) * (SMALL + 2))
    drawn = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(size=12)
    for row, (layer, pictures) in enumerate(layers.items()):
        top = row * (SMALL + 2)
        pen.text((4, top + SMALL / 2), f"{layer}\n{pictures.technique}", fill="black", font=font, anchor="lm")
        for n, image in enumerate(pictures.images):
            drawn.paste(enlarged(image, SMALL), (MARGIN + n * (SMALL + 2), top))
    return drawn


def enlarged(image: NDArray[np.uint8], side: int) -> Image.Image:
    """An image of `side` pixels; pictures of few pixels stay sharp squares."""
    few = image.shape[0] < side / 2
    method = Image.Resampling.NEAREST if few else Image.Resampling.BICUBIC
    return Image.fromarray(np.ascontiguousarray(image)).resize((side, side), method)
