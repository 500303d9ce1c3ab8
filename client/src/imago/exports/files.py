"""Where an exported atlas lies: a folder or a tar, read by the names of its files."""

import os
import tarfile
from collections.abc import Iterator
from errno import EINVAL
from pathlib import Path
from stat import S_ISREG
from threading import Lock
from typing import Protocol

from imago.errors import ImagoError, NotFound
from imago.exports.hashes import Index, key_of
from imago.exports.layout import MANIFEST

_PIECE = 1 << 20
_SHOWN = 200
"""Letters of a name in a message, at most."""


class Files(Protocol):
    """The files of an export. May be read by several threads."""

    where: str

    def size(self, name: str) -> int:
        """Bytes of a file. Raises `NotFound`."""
        ...

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """A part of a file, by default all of it. Raises `NotFound`."""
        ...

    def close(self) -> None:
        """Nothing can be read afterwards."""
        ...


def files_at(path: str | os.PathLike[str]) -> Files:
    """The files of a folder or a tar. Raises `NotFound` where nothing lies there, `ImagoError` for a file
    that is no tar, or cannot be read."""
    found = Path(path)
    if found.is_dir():
        return _Folder(found)
    if found.is_file():
        return _Tar(found)
    raise NotFound(f"There is no export at {found}.")


def pieces(files: Files, name: str) -> Iterator[bytes]:
    """All of a file, piece by piece."""
    offset, end = 0, files.size(name)
    while offset < end:
        piece = files.read(name, offset, _PIECE)
        if not piece:
            raise NotFound(f"{files.where} ends within {name}.")
        yield piece
        offset += len(piece)


def lines(files: Files, name: str, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """The lines of a file from one that begins at `offset` on, each with where it begins."""
    rest = b""
    at, end = offset, files.size(name)
    while at < end:
        piece = files.read(name, at, _PIECE)
        if not piece:
            raise NotFound(f"{files.where} ends within {name}.")
        at += len(piece)
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield offset, line
            offset += len(line) + 1
    if rest:
        yield offset, rest


class _Folder:
    def __init__(self, root: Path) -> None:
        self.where = str(root)
        self._root = root
        self._inside = root.resolve()

    def size(self, name: str) -> int:
        return self._found(name)[1]

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        path, _ = self._found(name)
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(-1 if length is None else length)
        except OSError as error:
            raise _unreadable(self.where, name, error) from error

    def close(self) -> None:
        pass

    def _found(self, name: str) -> tuple[Path, int]:
        """A file, and its bytes. An export of others may name anything: what leads out of the folder, and
        what is no file, such as a pipe that nobody writes to, is not there.
        """
        path = self._root / name
        try:
            is_inside = path.resolve().is_relative_to(self._inside)
            status = path.stat()
        except PermissionError as error:
            raise _unreadable(self.where, name, error) from error
        except (OSError, ValueError, RuntimeError):  # too long a name, one with NUL, links in a circle
            raise _missing(self.where, name) from None
        if not is_inside or not S_ISREG(status.st_mode):
            raise _missing(self.where, name)
        return path, status.st_size


class _Tar:
    """Members are found once, and read where they lie. 24 bytes are kept of each."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._below: str | None = None
        self._turn = Lock()
        try:
            with tarfile.open(path, "r:") as tar:
                self._places = Index(2, self._members(tar))
            self._file = path.open("rb")
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise ImagoError(f"{path} is no uncompressed tar, or was cut off: {error}.") from error
        except OSError as error:
            if error.errno == EINVAL:  # a member is said to end where no file can
                raise ImagoError(f"{path} is no uncompressed tar, or was cut off.") from error
            raise ImagoError(f"Cannot read {path}: {error.strerror or error}.") from error

    def size(self, name: str) -> int:
        return self._place(name)[1]

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        begins, size = self._place(name)
        left = max(size - offset, 0)
        try:
            with self._turn:  # rather than os.pread, which Windows lacks
                self._file.seek(begins + offset)
                return self._file.read(left if length is None else min(length, left))
        except OSError as error:
            raise _unreadable(self.where, name, error) from error

    def close(self) -> None:
        self._file.close()

    def _members(self, tar: tarfile.TarFile) -> Iterator[tuple[int, int, int]]:
        """Each file by its name, where it begins, and its bytes. What has holes does not lie there as it is.

        A tar that someone has made of the folder has its name before all others: that of the manifest tells.
        """
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it would grow with the atlas
            if member.size < 0:
                raise ValueError("a member has less than no bytes")
            if not member.isreg() or member.issparse():
                continue
            name = member.name.removeprefix("./")
            if name.rpartition("/")[2] == MANIFEST:
                below = name.removesuffix(MANIFEST)
                self._below = below if self._below is None else min(below, self._below, key=len)
            yield key_of(name), member.offset_data, member.size

    def _place(self, name: str) -> tuple[int, ...]:
        for place in self._places.of(key_of((self._below or "") + name)):
            return place
        raise _missing(self.where, name)


def _missing(where: str, name: str) -> NotFound:
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    return NotFound(f"{where} has no file {shown}.")


def _unreadable(where: str, name: str, error: OSError) -> ImagoError:
    return ImagoError(f"Cannot read {name} of {where}: {error.strerror or error}.")
