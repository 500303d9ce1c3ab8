"""Contact sheets: many pictures tiled into one, each with its caption. Needs the `pictures` extra."""

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from imago.files import open_image

if TYPE_CHECKING:
    from PIL.Image import Image

_GAP = 6
_LINE = 12
_LINES = 2
"""Lines of a caption at most; a sheet has as many under each picture as its longest caption needs."""
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


def contact_sheet(pictures: Sequence[tuple[str, bytes]], *, columns: int | None = None) -> bytes:
    """(caption, PNG) pairs, in reading order, as one PNG on white.

    columns: by default as many as make the sheet about as wide as high. Tiles have at most 256 px, fewer in a
    sheet of hundreds. Raises ValueError without pictures, ImagoError without Pillow.
    """
    if not pictures:
        raise ValueError("a sheet needs at least one picture")
    images = [(caption, open_image(png)) for caption, png in pictures]
    from PIL import Image, ImageDraw, ImageFont

    most = 256 if len(images) <= 100 else 128 if len(images) <= 900 else 64
    side = min(most, max(max(image.size) for _, image in images))
    side = max(side, 96) if len(images) <= 900 else side  # room for a caption
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    font = ImageFont.load_default(10)
    captions = [_wrapped(caption, side, font.getlength) for caption, _ in images]
    height = side + max(1, *map(len, captions)) * _LINE + 2
    sheet = Image.new("RGB", (columns * (side + _GAP) + _GAP, rows * (height + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (_, image) in enumerate(images):
        left = _GAP + index % columns * (side + _GAP)
        top = _GAP + index // columns * (height + _GAP)
        tile = _fitted(image.convert("RGB"), side)
        sheet.paste(tile, (left + (side - tile.width) // 2, top + (side - tile.height) // 2))
        for number, line in enumerate(captions[index]):
            draw.text((left, top + side + 1 + number * _LINE), line, fill=_INK, font=font)
    file = io.BytesIO()
    sheet.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _wrapped(caption: str, width: float, length: Callable[[str], float]) -> list[str]:
    """The caption in at most `_LINES` lines that are no longer than `width`, broken between words; what does
    not fit ends in `…`.
    """
    lines: list[str] = []
    words = caption.split()
    while words and len(lines) < _LINES:
        line = words.pop(0)
        while words and length(f"{line} {words[0]}") <= width:
            line = f"{line} {words.pop(0)}"
        lines.append(line)
    if words:
        lines[-1] = f"{lines[-1]} {' '.join(words)}"
    return [_shortened(line, width, length) for line in lines]


def _shortened(line: str, width: float, length: Callable[[str], float]) -> str:
    if length(line) <= width:
        return line
    while line and length(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…" if line else ""


def _fitted(image: "Image", side: int) -> "Image":
    """The image scaled to a tile, keeping its shape. Enlarged pixels stay sharp: they are the result."""
    from PIL import Image

    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS)
