"""Draw the most changed units of a layer: pairs side by side, each below its number and its distance."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from services.comparison.making import Pair
from services.sheets.layout import CELL
from worker.sheets.drawing import GAP, INK, PAPER, draw_cell

_PAIRS_OF_A_ROW = 4
_LINE = 22
_LETTERS = 14
_BETWEEN = 12
"""Pixels between two pairs."""


def drawn(pairs: Sequence[Pair], pictures: Mapping[str, Image.Image]) -> Image.Image:
    """Pairs row by row, the most changed first, a left and b right; a missing picture is an outline."""
    columns = min(_PAIRS_OF_A_ROW, len(pairs))
    rows = -(-len(pairs) // columns)
    width, height = 2 * CELL + _BETWEEN, CELL + _LINE
    whole = Image.new("RGB", (columns * width - _BETWEEN, rows * height), PAPER)
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(_LETTERS)
    for number, pair in enumerate(pairs):
        left, top = number % columns * width, number // columns * height
        title = f"{pair.unit}    {pair.distance:.3f}"
        pen.text((left + GAP, top + _LINE - 2 * GAP), title, INK, font, anchor="ls")
        for side, digest in enumerate((pair.a, pair.b)):
            draw_cell(whole, left + side * CELL + GAP, top + _LINE + GAP, pictures.get(digest))
    return whole
