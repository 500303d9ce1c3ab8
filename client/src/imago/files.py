"""Files that appear whole or not at all, so that an interrupted download leaves nothing half-written."""

import os
import uuid
from pathlib import Path

from imago.errors import ImagoError


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
