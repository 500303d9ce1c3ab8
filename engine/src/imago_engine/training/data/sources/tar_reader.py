"""Reads a tar from front to back and goes on after damage.

Python's `tarfile` stops without a word at the first damaged header and takes what follows for the end of the
archive. Its parser of one header is used here; this reader decides what is damage, what is another archive
joined to the first, and what is the end.
"""

import bz2
import gzip
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BLOCK = tarfile.BLOCKSIZE
_ZEROS = bytes(BLOCK)
_LONG_NAME = 2**20
"""Bytes of a header that only names the next member, at most."""
_SEARCHED = 64 * 2**20
"""Bytes that are searched for a first header before a file is called no tar."""
_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
_REFUSED = {b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class NoTar(ValueError):
    """A file is no tar archive, or of a compression that is not read."""


class CutOff(ValueError):
    """A tar ends before its end marker: what came after cannot be known."""


class TooMuch(ValueError):
    """A compressed tar unpacks to more than is allowed."""


class _NoHeader(ValueError):
    """What looked like a header is none after all."""


@dataclass(frozen=True)
class Member:
    """A regular file in a tar. `read` gives its content while it is the current one."""

    name: str
    size: int
    read: Callable[[], bytes]


class _Stream:
    """The unpacked bytes of a file, forwards only."""

    def __init__(self, path: Path, unpacked: int) -> None:
        with path.open("rb") as handle:
            start = handle.read(8)
        for magic, name in _REFUSED.items():
            if start.startswith(magic):
                raise NoTar(f"it is compressed with {name}; expected .tar, .tar.gz or .tar.bz2")
        opener = next((opener for magic, opener in _PACKED.items() if start.startswith(magic)), None)
        self._length = path.stat().st_size
        self._packed = opener is not None
        self._limit = max(unpacked, self._length)
        self._handle: IO[bytes] = opener(path) if opener else path.open("rb")  # type: ignore[operator]
        self.position = 0

    def read(self, count: int) -> bytes:
        """Fewer than `count` bytes at the end alone."""
        content = self._handle.read(count)
        self._advance(len(content))
        return content

    def skip(self, count: int) -> bool:
        """Whether so many bytes were there."""
        if not self._packed:
            # Headers may name sizes that no file can have, and no system seeks to.
            if self.position + count > self._length:
                return False
            self._handle.seek(count, 1)
            self._advance(count)
            return True
        while count > 0:
            part = self.read(min(count, 2**20))
            if not part:
                return False
            count -= len(part)
        return True

    def close(self) -> None:
        self._handle.close()

    def _advance(self, count: int) -> None:
        self.position += count
        if self._packed and self.position > self._limit:
            raise TooMuch(f"it unpacks to more than {self._limit:,} bytes")


class TarReader:
    """Iterate to get the members; `on_damage` is told what is lost between two of them."""

    def __init__(self, path: Path, unpacked: int, on_damage: Callable[[str, str], None]) -> None:
        """Raises NoTar. `unpacked`: bytes that a compressed archive may come to. `on_damage` gets where
        (`byte 10240`) and what.
        """
        self._stream = _Stream(path, unpacked)
        self._on_damage = on_damage
        self._last = ""

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __iter__(self) -> Iterator[Member]:
        """Raises NoTar, CutOff or TooMuch, and what a damaged compression raises."""
        stream, headers = self._stream, 0
        archive = 0  # where the archive that is read began: several may be joined
        damaged: int | None = None  # where a stretch began that is neither header nor content
        zeros, ended = 0, False
        while block := stream.read(BLOCK):
            start = stream.position - len(block)
            if block == _ZEROS[: len(block)]:
                zeros += 1
                ended = ended or damaged is None
                continue
            header = _header(block)
            if header is None:
                if damaged is None:
                    damaged = start
                zeros = 0
                if not headers and start - damaged > _SEARCHED:
                    break
                continue
            if damaged is not None:
                self._on_damage(f"byte {damaged}", f"{self._after()} no whole header up to byte {start}")
            elif zeros and headers and not _is_joined(zeros, start - archive):
                self._on_damage(f"byte {start - zeros * BLOCK}", f"{self._after()} zeros up to byte {start}")
            if zeros and damaged is None:
                archive = start
            damaged, zeros, ended = None, 0, False
            headers += 1
            try:
                member = self._member(header)
            except _NoHeader:
                damaged = start
            else:
                yield from self._content(member)
        if not headers and damaged is not None:
            raise NoTar("it has no header of one")
        if damaged is not None and (zeros or ended):
            self._on_damage(f"byte {damaged}", f"{self._after()} no whole header up to the end")
        elif headers and not (zeros or ended):
            raise CutOff(f"it is cut off: {self._after()} its end marker is missing")

    def _after(self) -> str:
        return f"after {self._last}," if self._last else "at its beginning,"

    def _member(self, header: tarfile.TarInfo) -> tarfile.TarInfo:
        """The member that a header stands for, with those that follow where it only gives a long name."""
        name: str | None = None
        size: int | None = None
        while header.type in _NAMING:
            if not 0 <= header.size <= _LONG_NAME:
                raise _NoHeader
            content = self._stream.read(_padded(header.size))[: header.size]
            if header.type == tarfile.GNUTYPE_LONGNAME:
                name = content.rstrip(b"\0").decode("utf-8", "replace")
            elif header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                facts = _pax_facts(content)
                name, size = facts.get("path", name), _number(facts.get("size"), size)
            block = self._stream.read(BLOCK)
            if len(block) < BLOCK:
                raise CutOff(f"it is cut off: {self._after()} a name has no member")
            following = _header(block)
            if following is None:
                raise _NoHeader
            header = following
        header.name = name or header.name
        header.size = header.size if size is None else size
        if header.size < 0:
            raise _NoHeader
        return header

    def _content(self, header: tarfile.TarInfo) -> Iterator[Member]:
        """The member, if it is a regular file; passes over what of its content was not read."""
        if not header.isreg() and header.type in tarfile.SUPPORTED_TYPES:
            return  # folders and links have no content, whatever size they claim
        left = header.size

        def read() -> bytes:
            nonlocal left
            content = self._stream.read(header.size)
            left = 0
            if len(content) < header.size:
                raise CutOff(f"it is cut off within {header.name}")
            return content

        if header.isreg():
            yield Member(header.name, header.size, read)
        if not self._stream.skip(left + _padded(header.size) - header.size):
            raise CutOff(f"it is cut off within {header.name}")
        self._last = header.name


_NAMING = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip


def _header(block: bytes) -> tarfile.TarInfo | None:
    """The header that a block is, by its checksum; None for anything else."""
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except (tarfile.HeaderError, ValueError):
        return None


def _is_joined(zeros: int, length: int) -> bool:
    """Whether so many zero blocks, up to byte `length` of an archive, are its end and not a hole in it: two,
    or as many as fill up a record.
    """
    return zeros == 2 or (zeros > 2 and length % tarfile.RECORDSIZE == 0)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _pax_facts(content: bytes) -> dict[str, str]:
    """The records `LENGTH KEY=VALUE\\n` of an extended header, as far as they are whole."""
    facts: dict[str, str] = {}
    while content:
        digits, separator, _ = content.partition(b" ")
        if not separator or not digits.isdigit() or not len(digits) < int(digits[:9]) <= len(content):
            break
        record = content[len(digits) + 1 : int(digits)].rstrip(b"\n").decode("utf-8", "replace")
        key, _, value = record.partition("=")
        facts[key] = value
        content = content[int(digits) :]
    return facts


def _number(text: str | None, otherwise: int | None) -> int | None:
    return (
        int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else otherwise
    )
