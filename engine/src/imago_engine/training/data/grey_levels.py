"""Greys of more than 8 bits, and of floating point, to the 8 bits that a screen shows."""

import numpy as np
from PIL import Image, TiffImagePlugin

DEEP_GREYS = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N", "F"})
"""Pillow's modes of such pictures; its own conversion cuts them off at 255."""
_AT_ONCE = 2**20  # pixels: the arithmetic takes eight times the memory of the result
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


def eight_bits(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A loaded picture of one of `DEEP_GREYS` as mode L, and its opacity (L) where one level is transparent.

    Unsigned 16-bit greys go from 0 to the white of their depth, floats in [0, 1] from 0 to 1. Where the file
    does not say what is black and what is white (other floats, 32-bit integers), these are the least and the
    greatest value that are finite; NaN is black. Raises ValueError where no value is finite.
    """
    values = _values(image)
    black, white = _ends(image, values)
    shades = np.empty(values.shape, np.uint8)
    rows = max(_AT_ONCE // values.shape[1], 1)
    for start in range(0, len(values), rows):
        with np.errstate(invalid="ignore"):
            shade = (values[start : start + rows].astype(np.float64) - black) * (255 / (white - black))
        shade = np.nan_to_num(shade, nan=0, posinf=255, neginf=0).clip(0, 255)
        shades[start : start + rows] = np.rint(255 - shade if _white_is_zero(image) else shade)
    grey = Image.fromarray(shades)
    clear = image.info.get("transparency")
    if not isinstance(clear, int | float):
        return grey, None
    return grey, Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))


def _values(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    # Pillow takes unsigned integers of 32 bits for signed ones.
    unsigned = isinstance(image, TiffImagePlugin.TiffImageFile) and (
        image.tag_v2.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0] == _UNSIGNED and _bits(image) == 32
    )
    return values.view(np.uint32) if image.mode == "I" and unsigned else values


def _ends(image: Image.Image, values: np.ndarray) -> tuple[float, float]:
    if image.mode.startswith("I;16"):
        return 0, 2 ** _depth(image) - 1
    if image.mode == "I" and image.format in ("PNG", "PPM", "JPEG2000"):
        return 0, 65535
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("none of its values is a finite number")
    if not finite.all():
        values = values[finite]
    black, white = float(values.min()), float(values.max())
    if image.mode == "F" and black >= 0 and white <= 1:
        return 0, 1
    return black, white if white > black else black + 1


def _depth(image: Image.Image) -> int:
    bits = _bits(image) if isinstance(image, TiffImagePlugin.TiffImageFile) else 16
    return bits if 8 < bits <= 16 else 16


def _bits(image: TiffImagePlugin.TiffImageFile) -> int:
    return int(image.tag_v2.get(_BITS_PER_SAMPLE, (0,))[0])


def _white_is_zero(image: Image.Image) -> bool:
    """A TIFF may count from white; Pillow turns that round for 8 bits only."""
    return (
        isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    )
