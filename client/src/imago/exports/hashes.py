"""Hashes of files, and where things lie by a hash."""

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path


def sha256_of(path: Path) -> str | None:
    """64 hex digits, None where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def key_of(name: str) -> int:
    """64 bits that stand for a name."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())


class Index:
    """Numbers by a key of 64 bits, for what is kept of every picture: 8 bytes for each key and each number.

    rows: a key, and the numbers that belong to it. Raises OverflowError for one that has no 64 bits.
    """

    def __init__(self, width: int, rows: Iterable[tuple[int, ...]]) -> None:
        columns = [array("Q") for _ in range(1 + width)]
        for row in rows:
            for column, number in zip(columns, row, strict=True):
                column.append(number)
        order = array("Q", sorted(range(len(columns[0])), key=columns[0].__getitem__))
        self._keys, *self._columns = [array("Q", map(column.__getitem__, order)) for column in columns]

    def of(self, key: int) -> Iterator[tuple[int, ...]]:
        """The numbers of a key, those that were given last first."""
        at = bisect_right(self._keys, key)
        while at > 0 and self._keys[at - 1] == key:
            at -= 1
            yield tuple(column[at] for column in self._columns)
