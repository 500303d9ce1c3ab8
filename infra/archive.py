"""The format of a backup: a folder that is whole once it has its `manifest.json`, which is written last.

`tables/NAME.copy.gz` are the rows of one moment, as PostgreSQL's COPY writes them; `pointers.gz` names every
object that they point to, one key a line; `store/KEY` are the objects.
"""

import gzip
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ValidationError

FORMAT = 1
_CHUNK = 1024 * 1024


class ArchiveError(Exception):
    """A backup cannot be written or used as it is; the message is for people."""


class Part(BaseModel):
    """One compressed file: the SHA-256 of what is in it, and its number of lines."""

    file: str
    sha256: str
    lines: int


class Table(Part):
    """The rows of one table."""

    name: str
    columns: list[str]


class Manifest(BaseModel):
    """`tables` in an order in which they can be filled; `lost` are keys that the store did not have any more
    though rows point to them."""

    format: int
    revision: str
    made_at: str
    tables: list[Table]
    sequences: dict[str, int]
    pointers: Part
    lost: list[str]


@dataclass(frozen=True)
class Archive:
    """A backup in a folder."""

    folder: Path

    @property
    def manifest_path(self) -> Path:
        """The file that says what the backup holds."""
        return self.folder / "manifest.json"

    def object_path(self, key: str) -> Path:
        """The file of an object of the store."""
        return self.folder / "store" / key

    def read_manifest(self) -> Manifest:
        """Raises `ArchiveError` where there is no whole backup that this release can read."""
        try:
            manifest = Manifest.model_validate_json(self.manifest_path.read_bytes())
        except FileNotFoundError:
            raise ArchiveError(
                f"{self.folder} holds no whole backup: there is no manifest.json, which is written last."
            ) from None
        except ValidationError as error:
            raise ArchiveError(f"{self.manifest_path} is damaged: {error}") from error
        if manifest.format != FORMAT:
            raise ArchiveError(f"The backup has the format {manifest.format}; this release reads {FORMAT}.")
        return manifest

    def write_manifest(self, manifest: Manifest) -> None:
        """All or nothing. From then on the backup is whole."""
        unfinished = self.manifest_path.with_suffix(".tmp")
        with unfinished.open("w") as file:
            file.write(manifest.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.manifest_path)

    def check(self, part: Part) -> None:
        """Raises `ArchiveError` if a file is not what was written."""
        hashed, lines = hashlib.sha256(), 0
        try:
            with self.reading(part) as file:
                while data := file.read(_CHUNK):
                    hashed.update(data)
                    lines += data.count(b"\n")
        except (OSError, EOFError) as error:
            raise ArchiveError(f"{part.file} cannot be read: {error}") from error
        if (hashed.hexdigest(), lines) != (part.sha256, part.lines):
            raise ArchiveError(f"{part.file} is damaged: its contents are not those that were written.")

    @contextmanager
    def reading(self, part: Part) -> Iterator[IO[bytes]]:
        """The contents of a file, uncompressed."""
        with gzip.open(self.folder / part.file, "rb") as file:
            yield file  # type: ignore[misc]

    def keys(self, part: Part) -> Iterator[str]:
        """The lines of `pointers`."""
        with self.reading(part) as file:
            for line in file:
                yield line.decode().rstrip("\n")


def chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    """A thousand at a time."""
    left = iter(keys)
    while chunk := list(islice(left, 1000)):
        yield chunk


class PartWriter:
    """Writes one compressed file and takes its measure; use it in a `with`."""

    def __init__(self, archive: Archive, file: str) -> None:
        path = archive.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        self._stream = gzip.GzipFile(path, "wb", compresslevel=3)
        self._hashed = hashlib.sha256()
        self._lines = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add some bytes."""
        data = bytes(data)
        self._hashed.update(data)
        self._lines += data.count(b"\n")
        self._stream.write(data)

    def part(self) -> Part:
        """The measure of what was written."""
        return Part(file=self._file, sha256=self._hashed.hexdigest(), lines=self._lines)

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
