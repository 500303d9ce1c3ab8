"""A photograph as the server takes it: small."""

import io
import os
from pathlib import Path

from imago.errors import ImagoError

MOST_BYTES = 700_000
SIDE = 768
"""Pixels of the longer side that a larger one is reduced to: more than any network looks at."""


def small(photograph: bytes | str | os.PathLike[str]) -> bytes:
    """The bytes of a photograph, given as such or as the path of its file; reduced where it is large.

    Raises ImagoError where it cannot be read, or is to be reduced and Pillow is missing.
    """
    if isinstance(photograph, bytes):
        content = photograph
    else:
        try:
            content = Path(photograph).read_bytes()
        except OSError as error:
            raise ImagoError(f"{os.fspath(photograph)} cannot be read: {error.strerror}.") from error
    return content if len(content) <= MOST_BYTES else _reduced(content)


def _reduced(content: bytes) -> bytes:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImagoError(
            f"The photograph has more than {MOST_BYTES} bytes; to reduce it, Pillow is needed: "
            "pip install 'imago[pictures]'."
        ) from error
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (SIDE, SIDE))
            shown = ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:  # whatever decoders raise
        raise ImagoError(f"The photograph cannot be decoded: {error}") from error
    shown.thumbnail((SIDE, SIDE))
    reduced = io.BytesIO()
    shown.save(reduced, "JPEG", quality=90)
    return reduced.getvalue()
