"""What is written last of an export: the hashes of the files whose parts are there, and what they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from services.base.storage import ObjectStore
from services.exports.description import Contents
from services.exports.lines import MANIFEST, SUMS, TABLE, UNITS
from services.exports.parts import LayerLines, Text, sum_of
from services.exports.tables import AtlasExportPartRow
from services.exports.tar import END, bytes_of


@dataclass(frozen=True)
class Ending:
    """`sums` are the last lines of SHA256SUMS, `files` say sha256 and bytes of each file that is no picture,
    `listed_bytes` is what all but the manifest takes in a tar."""

    sums: Text
    files: Mapping[str, Mapping[str, Any]]
    contents: Contents
    listed_bytes: int

    def size(self, manifest_bytes: int) -> int:
        """Of the whole tar, in bytes."""
        return bytes_of(MANIFEST, manifest_bytes) + self.listed_bytes + len(END)


class EndingInMaking:
    """Reads all parts once more, one object after the other, to hash the files that they make."""

    def __init__(self, parts: Sequence[AtlasExportPartRow]) -> None:
        self._objects = _objects_of(parts)
        self._read = 0
        self._hashed = {name: sha256() for name in (UNITS, TABLE, SUMS)}
        self._bytes = dict.fromkeys(self._hashed, 0)

    def is_of(self, parts: Sequence[AtlasExportPartRow]) -> bool:
        """Whether these are the parts that it reads."""
        return _objects_of(parts) == self._objects

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to read."""
        return self._read == len(self._objects)

    def read_on(self, store: ObjectStore) -> None:
        """Read the next object. Raises `Unavailable`, or `NotFound` or `Corrupt` where it is lost."""
        name, key = self._objects[self._read]
        with store.verified(key) as file:
            piece = file.read()
        self._hashed[name].update(piece)
        self._bytes[name] += len(piece)
        self._read += 1

    def ending(self, parts: Sequence[AtlasExportPartRow]) -> Ending:
        """What is written last, once it is whole."""
        files = {name: self._described(name) for name in (UNITS, TABLE)}
        sums = b"".join(sum_of(name, file) for name, file in files.items())
        files[SUMS] = self._described(SUMS, sums)
        listed = sum(bytes_of(name, file["bytes"]) for name, file in files.items())
        pictures = sum(part.pictures_bytes for part in parts)
        return Ending(Text.of(sums, "sums"), files, _contents(parts), listed + pictures)

    def _described(self, name: str, more: bytes = b"") -> dict[str, Any]:
        hashed = self._hashed[name].copy()
        hashed.update(more)
        return {"sha256": hashed.hexdigest(), "bytes": self._bytes[name] + len(more)}


def _objects_of(parts: Sequence[AtlasExportPartRow]) -> list[tuple[str, str]]:
    """Each file's objects in their order."""
    objects = (
        *((UNITS, part.units_object) for part in parts),
        *((TABLE, part.table_object) for part in parts),
        *((SUMS, part.sums_object) for part in parts),
    )
    return [(name, key) for name, key in objects if key is not None]


def _contents(parts: Sequence[AtlasExportPartRow]) -> Contents:
    layers: dict[str, LayerLines] = {}
    recipes: set[str] = set()
    generators: set[str] = set()
    at = 0
    for part in parts:
        for found in (LayerLines(*layer) for layer in part.layers):
            _, before, lines, pictures = layers.get(found.layer, (found.layer, at + found.before, 0, 0))
            layers[found.layer] = LayerLines(
                found.layer, before, lines + found.lines, pictures + found.pictures
            )
        recipes.update(part.recipes)
        generators.update(part.generators)
        at += part.units_bytes
    return Contents(layers, [*recipes], [*generators])
