"""An export as one tar, of which any part can be read: where each byte is follows from sizes alone.

The manifest comes first, then the files that list the pictures, then the pictures in the order of
units.jsonl. What is put together are objects of the store, headers and padding, without owners and times.
Only the lines of the pictures that are read are looked at, some hundred at a time, so that memory does not
grow with the export.
"""

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from imago_engine.artifacts import ArtifactKind
from services.base.object_keys import key_of_sha256, sha256_of_key
from services.base.storage import Corrupt
from services.exports.lines import MANIFEST, SUMS, TABLE, UNITS
from services.pictures.losses import Subject

END = bytes(2 * tarfile.BLOCKSIZE)
"""What a tar ends with."""
VERSION = 1
"""Raised where the same files would give other bytes. A migration then removes the exports that are written,
whose sizes are of the former."""
_PIECE = 64 * 1024


@dataclass(frozen=True)
class Stored:
    """An object of the store that is a piece of the tar, and what points to it."""

    key: str
    size: int
    subject: Subject


@dataclass(frozen=True)
class Pictures:
    """The pictures of some lines of units.jsonl, with their headers and paddings."""

    lines: Stored
    size: int


@dataclass(frozen=True)
class Listing:
    """A part of the files that list the pictures, and the pictures themselves."""

    units: Stored
    table: Stored | None
    sums: Stored | None
    pictures_size: int


Piece = bytes | Stored | Pictures
Read = Callable[[Stored], bytes]
"""Gives all bytes of an object, which are those that its key names."""


@dataclass(frozen=True)
class ExportTar:
    """`size` is that of all of it. Sizes are in bytes."""

    manifest: Stored
    last_sums: Stored
    listings: Sequence[Listing]
    size: int

    @property
    def name(self) -> str:
        """What its bytes follow from: the manifest has the hashes of all files. It is its ETag, too."""
        return f"{sha256_of_key(self.manifest.key)}-{VERSION}"

    def read(self, first: int, end: int, read: Read) -> Iterator[bytes]:
        """The bytes from `first` on, up to and without `end`. Raises what `read` does."""
        return _cut(self._pieces(), first, end, read)

    def _pieces(self) -> Iterator[Piece]:
        tables = [each.table for each in self.listings if each.table is not None]
        sums = [each.sums for each in self.listings if each.sums is not None]
        yield from _file(MANIFEST, [self.manifest])
        yield from _file(SUMS, [*sums, self.last_sums])
        yield from _file(TABLE, tables)
        yield from _file(UNITS, [each.units for each in self.listings])
        for each in self.listings:
            yield Pictures(each.units, each.pictures_size)
        yield END


def _file(name: str, parts: Sequence[Stored]) -> Iterator[Piece]:
    size = sum(part.size for part in parts)
    yield header(name, size)
    yield from parts
    yield padding(size)


def _cut(pieces: Iterable[Piece], first: int, end: int, read: Read) -> Iterator[bytes]:
    """Read what lies from `first` to `end`, and nothing of what does not."""
    at = 0
    for piece in pieces:
        if at >= end:
            return
        size = len(piece) if isinstance(piece, bytes) else piece.size
        since, until = max(first - at, 0), min(end - at, size)
        if since < until:
            if isinstance(piece, Pictures):
                yield from _cut(_pictures(read(piece.lines)), since, until, read)
            else:
                content = piece if isinstance(piece, bytes) else read(piece)
                if len(content) != size:
                    raise Corrupt(f"An export says {size} bytes of an object that has {len(content)}.")
                for place in range(since, until, _PIECE):
                    yield content[place : min(place + _PIECE, until)]
        at += size


def _pictures(lines: bytes) -> Iterator[Piece]:
    # Of each line a few words, before the first picture is read: a client may take long for all of them.
    named = [
        (line["file_name"], line["sha256"], line["bytes"], line["digest"])
        for line in map(json.loads, lines.splitlines())
        if line["file_name"] is not None
    ]
    del lines
    for name, sha256, size, digest in named:
        yield header(name, size)
        key = key_of_sha256(ArtifactKind.IMAGE, sha256)
        yield Stored(key, size, Subject("visualization", digest))
        yield padding(size)


def header(name: str, size: int) -> bytes:
    """What goes before the bytes of a file."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    """What goes behind them."""
    return bytes(-size % tarfile.BLOCKSIZE)


def bytes_of(name: str, size: int) -> int:
    """All that a file takes."""
    return len(header(name, size)) + size + len(padding(size))
