"""`imago.open`: an exported atlas, read without a server."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from imago.atlases.atlas import Atlas
from imago.atlases.unit import AtlasUnit
from imago.errors import NotFound
from imago.exports.checking import OnCheck, check, read_manifest
from imago.exports.files import Files, files_at
from imago.exports.offline import OfflineTransport, atlas_of, unit_of
from imago.records import Raw


@dataclass(frozen=True)
class Match:
    """A picture of which its network says the word: `unit.image(facet)`. probability: of that class, None
    where the unit itself is the class.
    """

    unit: AtlasUnit
    facet: int
    label: str
    probability: float | None


class ExportedAtlas(Atlas):
    """An atlas in a folder or a tar. What reads an atlas of a server reads it, too; nothing changes it."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.manifest: Raw = read_manifest(files)
        self._offline = OfflineTransport(files, self.manifest)
        super().__init__(atlas_of(self.manifest), self._offline)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ExportedAtlas {self._files.where}: {self.id} version {self.latest_version}>"

    def close(self) -> None:
        """Close the file. The atlas cannot be read afterwards."""
        self._transport.close()

    def unit(self, layer: str, unit: int) -> AtlasUnit:
        """One of its units. Raises `NotFound`."""
        for found in self.units(layer):
            if found.unit == unit:
                return found
        raise NotFound(f"{self._files.where} does not show {layer}/{unit}.")

    def search(self, word: str, *, layer: str | None = None) -> Iterator[Match]:
        """The pictures of which the network says this: units of such a class, and pictures with such a class
        among their predictions, in the order of the export. In any case; a part of a name is enough.
        """
        wanted = word.casefold()
        for lines in self._offline.lines_by_unit(layer):
            for line in lines:
                if (found := _said(line, wanted)) is not None:
                    yield Match(AtlasUnit(unit_of(lines), self._transport), line["facet"], *found)

    def check(self, on_progress: OnCheck | None = None) -> None:
        """Compare every file with its hash. Raises `DamagedExport` at the first that differs."""
        check(self._files, self.manifest, on_progress)


def open(path: str | os.PathLike[str]) -> ExportedAtlas:
    """Open an exported atlas, a folder or a tar, with the interface of an atlas on a server.

    Raises `DamagedExport` for one that is not whole. Reads the manifest alone; `check` compares all hashes.
    """
    files = files_at(path)
    try:
        return ExportedAtlas(files)
    except BaseException:
        files.close()
        raise


def _said(line: Raw, wanted: str) -> tuple[str, float | None] | None:
    if line["label"] and wanted in line["label"].casefold():
        return line["label"], None
    for said in line["predictions"] or ():
        if said["label"] and wanted in said["label"].casefold():
            return said["label"], said["probability"]
    return None
