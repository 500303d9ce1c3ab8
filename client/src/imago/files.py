"""Files that appear whole or not at all, so that an interrupted download leaves nothing half-written; and
pictures of such bytes.
"""

import io
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from imago.errors import ImagoError

if TYPE_CHECKING:
    from PIL.Image import Image


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file, making its folders, and return its path. Raises ImagoError that says why it cannot."""
    draft = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(content)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ImagoError(f"Cannot write {path}: {error.strerror}.") from error
    return path


def open_image(content: bytes) -> "Image":
    """Bytes as a PIL image; an ImagoError where they are none, and one that says what to install where Pillow
    is missing."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImagoError("Pillow is not installed: pip install 'imago[pictures]'.") from error
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except Exception as error:  # decoders raise whatever their parsing ends in
        raise ImagoError(f"The bytes are no picture that can be shown: {error}.") from error
    return image
