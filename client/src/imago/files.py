"""Files that appear whole or not at all, so that an interrupted download leaves nothing half-written, and
folders that one process alone writes; and pictures of such bytes.
"""

import errno
import io
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imago.errors import ImagoError

if TYPE_CHECKING:
    from PIL.Image import Image


LOCK = ".imago-lock"
"""Lies in a folder while it is written."""


def write_whole(path: Path, content: bytes, *, lasting: bool = False) -> Path:
    """Write a file, making its folders, and return its path. Raises ImagoError that says why it cannot.

    lasting: it outlives a power cut from then on.
    """
    draft = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(content)
            if lasting:
                flush(draft)
            os.replace(draft, path)
            if lasting:
                flush(path.parent)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ImagoError(f"Cannot write {path}: {error.strerror}.") from error
    return path


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, outlive a power cut. Raises OSError where a file does not."""
    windows = sys.platform == "win32"
    if path.is_dir():
        if not windows:  # which writes names down by itself, and opens no folder
            with suppress(OSError):  # of file systems that do this for files alone
                _flush(path, os.O_RDONLY)
        return
    _flush(path, os.O_RDWR if windows else os.O_RDONLY)


def flush_below(folder: Path) -> None:
    """The same of everything in a folder, and in the folders there. Raises OSError."""
    for place, _, files in os.walk(folder):
        for name in files:
            flush(Path(place, name))
        flush(Path(place))


def _flush(path: Path, flags: int) -> None:
    file = os.open(path, flags)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold a folder alone; False where another process or thread holds it. A process that is killed lets go.

    Windows, and file systems that know no locks, let everybody write. Raises OSError.
    """
    if sys.platform == "win32":
        yield True
        return
    path = folder / LOCK
    try:
        file = path.open("ab")
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        yield True  # nobody can write here, and what is whole can be looked at
        return
    with file:
        mine = _lock(file.fileno()) and _is_at(file.fileno(), path)
        try:
            yield mine
        finally:
            if mine:
                path.unlink(missing_ok=True)


def _lock(file: int) -> bool:
    """Whether nobody else holds it."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # there are no locks here
        return True
    return True


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file still lies there: who held it before may have removed it since it was opened."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.stat())
    return False


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
