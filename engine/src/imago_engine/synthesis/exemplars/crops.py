"""The part of a real picture that excited a unit: its receptive field at the place where it was strongest."""

import io
import math

from PIL import Image

from imago_engine.artifacts import SMALL_BELOW
from imago_engine.synthesis.inspection.anatomy import TracedLayer
from imago_engine.synthesis.receptive_fields.receptive_field import Box

CROP_SIDE = 128
"""Pixels, the longer side of a crop at most."""
_QUALITY = 82


def field_box(layer: TracedLayer, place: int, input_size: int) -> Box | None:
    """What the unit sees at a place of its map (counted row by row), in pixels of the network's input; None
    where that is all of it, or not known."""
    if layer.field is None:
        return None
    width = layer.shape[2] if len(layer.shape) == 3 else 1
    box = layer.field.box((place // width, place % width), input_size)
    # Nothing but padding: the whole picture says more.
    return None if box is None or box.left >= box.right or box.top >= box.bottom else box


def crop(image: Image.Image, box: Box | None, input_size: int, side: int = CROP_SIDE) -> Image.Image:
    """Cut `box` out of a picture of any size, whose central square is what the network saw with `input_size`
    pixels a side. Its longer side has `side` pixels, fewer where the picture has no more."""
    edge = min(image.size)
    scale = edge / input_size
    corner = ((image.width - edge) // 2, (image.height - edge) // 2)
    box = box or Box(0, 0, input_size, input_size)
    left, top, right, bottom = (at * scale + corner[axis % 2] for axis, at in enumerate(box))
    shrunk = min(1.0, side / max(right - left, bottom - top))
    size = tuple(max(1, math.floor(length * shrunk + 0.5)) for length in (right - left, bottom - top))
    return image.resize(
        (size[0], size[1]), Image.Resampling.BICUBIC, box=(left, top, right, bottom), reducing_gap=3.0
    )


def encoded(image: Image.Image) -> bytes:
    """A small WebP. The same picture gives the same bytes; one of few pixels, as early layers see them, loses
    nothing."""
    buffer = io.BytesIO()
    how: dict[str, int] = {"lossless": True} if max(image.size) < SMALL_BELOW else {"quality": _QUALITY}
    image.save(buffer, "WEBP", method=4, **how)
    return buffer.getvalue()
