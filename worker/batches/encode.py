"""From a picture in memory to the bytes that are stored: lossless, self-describing, readable without
torch."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save as save_safetensors

from imago_engine.synthesis.ascent import Picture


@dataclass(frozen=True)
class EncodedPicture:
    """All bytes of one visualization. Their names in the store are their SHA-256, which the store computes.

    `image` and `crop` are PNG (RGB, 8 bit); `crop` is what the unit can see of the image, None for units
    that see all. `code` is safetensors with one float32 tensor "code", None of pictures that no generator
    took part in; `trace` is .npy, float32 [steps],
    the activation at each step.
    """

    image: bytes
    crop: bytes | None
    code: bytes | None
    trace: bytes


def encode(picture: Picture) -> EncodedPicture:
    """Encode a finished picture. The same picture gives the same bytes."""
    crop = None
    if picture.crop_box is not None:
        left, top, right, bottom = picture.crop_box
        crop = _png(picture.image[top:bottom, left:right])
    trace = io.BytesIO()
    np.save(trace, picture.trace, allow_pickle=False)
    return EncodedPicture(
        _png(picture.image),
        crop,
        None if picture.code is None else save_safetensors({"code": np.ascontiguousarray(picture.code)}),
        trace.getvalue(),
    )


def _png(rgb: NDArray[np.uint8]) -> bytes:
    """PNG of uint8 [H, W, 3]. Level 6: level 9 takes three times as long for 1 % fewer bytes."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
