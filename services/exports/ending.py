"""What is written last of an export: the hashes of the files whose parts are there, and what they hold."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
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


def ending_of(parts: Sequence[AtlasExportPartRow], store: ObjectStore, check: Callable[[], object]) -> Ending:
    """Read all parts once more, to hash the files that they make. `check` is called again and again, and may
    raise; so may reading: `NotFound` and `Corrupt` where the store has lost one, `Unavailable`."""

    def described(keys: Sequence[str | None], more: bytes = b"") -> dict[str, Any]:
        hashed, size = sha256(), 0
        for piece in chain(_read(store, keys, check), [more]):
            hashed.update(piece)
            size += len(piece)
        return {"sha256": hashed.hexdigest(), "bytes": size}

    files = {
        UNITS: described([part.units_object for part in parts]),
        TABLE: described([part.table_object for part in parts]),
    }
    sums = b"".join(sum_of(name, described) for name, described in files.items())
    files[SUMS] = described([part.sums_object for part in parts], sums)
    listed = sum(bytes_of(name, file["bytes"]) for name, file in files.items())
    pictures = sum(part.pictures_bytes for part in parts)
    return Ending(Text.of(sums, "sums"), files, _contents(parts), listed + pictures)


def _read(store: ObjectStore, keys: Sequence[str | None], check: Callable[[], object]) -> Iterator[bytes]:
    for key in keys:
        if key is not None:
            check()
            with store.verified(key) as file:
                yield file.read()


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
