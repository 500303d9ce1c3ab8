"""An atlas as its readers and its owner see it: how far it is, what it shows, what can be done with it."""

import html
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from imago.atlases.atlas_map import AtlasMap
from imago.atlases.atlas_sheet import AtlasSheet
from imago.atlases.records import AtlasEstimate, AtlasLayer, AtlasPictures
from imago.atlases.unit import AtlasUnit
from imago.atlases.words import listed
from imago.exports.conversion import Conversion, Format
from imago.exports.exporting import OnExport, export
from imago.exports.sites import export_site
from imago.records import Raw, bounds
from imago.transport import Json, path_to
from imago.watched import Watched

OnProgress: TypeAlias = Callable[["Atlas"], object]
_PUBLISHING_SECONDS = 1.0
"""Between two looks at a version that is being published."""
_RESTS = frozenset({"complete", "paused", "canceled"})


class Atlas(Watched):
    """An atlas. Its attributes are what the server said last; `refresh` asks again."""

    _collection = "atlases"
    _pauses = (0.5, 5.0)

    def __repr__(self) -> str:
        return f"<Atlas {self.id}: {self.state}, {self.pictures.done} of {self.pictures.total} done>"

    def _repr_html_(self) -> str:
        """A bar of what is done, for notebooks."""
        pictures = self.pictures
        share = 100 * pictures.settled / max(pictures.total, 1)
        return (
            f"<div><b>{html.escape(self.name)}</b> <code>{html.escape(self.id)}</code> "
            f"{html.escape(self.state)}: {pictures.done} of {pictures.total} pictures"
            + (f", {pictures.failed} failed" if pictures.failed else "")
            + '<div style="background:#ddd;height:8px;max-width:40em">'
            f'<div style="background:#3a7;height:8px;width:{share:.1f}%"></div></div></div>'
        )

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._raw["name"])

    @property
    def network(self) -> str:
        """The network that it shows."""
        return str(self._raw["network"])

    @property
    def visibility(self) -> str:
        """`private` or `public`."""
        return str(self._raw["visibility"])

    @property
    def pictures(self) -> AtlasPictures:
        """Its pictures by what became of them."""
        return AtlasPictures.read(self._raw["progress"]["pictures"])

    @property
    def eta_range(self) -> tuple[float, float] | None:
        """Bounds of `eta_seconds`."""
        return bounds(self._raw["progress"]["eta_range"])

    @property
    def finished(self) -> bool:
        """Whether nothing goes on: it is complete, paused or canceled."""
        return self.state in _RESTS

    @property
    def open_version(self) -> int:
        """The number of the version that is being built."""
        return int(self._raw["open_version"])

    @property
    def latest_version(self) -> int | None:
        """The number of the newest version that was published."""
        number: int | None = self._raw["latest_version"]
        return number

    @property
    def errors(self) -> Sequence[Raw]:
        """Why pictures failed: code, count, message; the commonest reason first."""
        errors: Sequence[Raw] = self._raw["errors"]
        return errors

    @property
    def _to_retry(self) -> int:
        return self.pictures.failed

    def layers(self) -> list[AtlasLayer]:
        """Its layers, each with how far it is."""
        found = self._transport.entries(f"{self._path}/layers")
        return [AtlasLayer.read(raw, self.id, self._transport) for raw in found]

    def sheet(self, layer: str, version: int | str = "latest") -> AtlasSheet:
        """The contact sheet of a layer, in a version as `units` takes it."""
        path = path_to("atlases", self.id, "versions", str(version), "layers", layer, "sheet")
        return AtlasSheet.get(path, self._transport)

    def poster(self, version: int | str = "latest") -> AtlasSheet:
        """The poster of all layers, one below the other."""
        path = path_to("atlases", self.id, "versions", str(version), "poster")
        return AtlasSheet.get(path, self._transport)

    def map(self, version: int | str = "latest") -> AtlasMap:
        """Where its units lie in the plane, in a version as `units` takes it; `wait()` has it made."""
        return AtlasMap.get(path_to("atlases", self.id, "versions", str(version), "map"), self._transport)

    def units(self, layer: str, version: int | str = "latest") -> Iterator[AtlasUnit]:
        """The units of a layer, in a version, the `open` one, or the newest that was published; page by page
        as you iterate."""
        # One that is published meanwhile is another one: all pages are of the version that was the newest.
        number = self._transport.get(path_to("atlases", self.id, "versions", str(version)))["number"]
        path = path_to("atlases", self.id, "versions", number, "layers", layer, "units")
        for raw in self._transport.entries(path):
            yield AtlasUnit(raw, self._transport)

    def versions(self) -> list[Raw]:
        """Its versions, the newest first, as the server's JSON."""
        return list(self._transport.entries(f"{self._path}/versions"))

    def pause(self) -> "Atlas":
        """Begin nothing new of it; what is being computed ends."""
        return self._ask("pause")

    def resume(self) -> "Atlas":
        """Go on with it."""
        return self._ask("resume")

    def cancel(self) -> "Atlas":
        """Want no more of it than is done."""
        return self._ask("cancel")

    def retry(self) -> "Atlas":
        """Queue its failed pictures again. Conflict where there are none."""
        return self._retry()

    def extend(
        self,
        *,
        layers: str | Sequence[str] | None = None,
        units: str | Sequence[int] | None = None,
        facets: int | None = None,
    ) -> "Atlas":
        """Add layers, units or facets. One that is paused or canceled stays so until it is resumed."""
        return self._send("extend", _extension(layers, units, facets))

    def estimate_extension(
        self,
        *,
        layers: str | Sequence[str] | None = None,
        units: str | Sequence[int] | None = None,
        facets: int | None = None,
    ) -> AtlasEstimate:
        """What the same `extend` would add; makes nothing."""
        asked = _extension(layers, units, facets)
        return AtlasEstimate.read(self._transport.post(f"{self._path}/extend:estimate", asked).body)

    def change(self, *, name: str | None = None, visibility: str | None = None) -> "Atlas":
        """Give it another name, or other readers: `private` or `public`."""
        asked = {"name": name, "visibility": visibility}
        return self._send("change", {field: value for field, value in asked.items() if value is not None})

    def publish(self) -> Raw:
        """Freeze what is done as a version that never changes; returns it as the server's JSON. Of a large
        atlas that takes a while: this waits for it."""
        asked = path_to("atlases", self.id, "versions", self.refresh().open_version)

        def published() -> Json | None:
            version = self._transport.get(asked)
            return version if version.get("publishing") or version["published"] else None

        version = self._transport.post_once(f"{self._path}/publish", published)
        while version.get("publishing"):
            time.sleep(_PUBLISHING_SECONDS)
            version = self._transport.get(version["links"]["self"])
        self.refresh()
        return version

    def export(
        self,
        to: str | os.PathLike[str],
        *,
        version: int | str = "latest",
        format: Format = "png",
        size: int | None = None,
        table: Literal["parquet", "jsonl"] | None = None,
        on_progress: OnExport | None = None,
    ) -> Path:
        """Write a published version into a folder, or a file that ends in .tar; `imago.open` reads it.

        format, size: of the pictures, by default as the server has them; others need the `pictures` extra.
        table: `parquet` (needs the `parquet` extra) or `jsonl`; by default Parquet if it can be written.
        Stopped anywhere, the same call goes on; it mends a folder that was damaged after it was written.
        """
        images = Conversion(format, size)
        where = self._transport, self.id, to
        return export(*where, version=version, images=images, table=table, on_progress=on_progress)

    def export_site(
        self,
        to: str | os.PathLike[str],
        *,
        version: int | str = "latest",
        exemplars: bool = True,
        on_progress: OnExport | None = None,
    ) -> Path:
        """Write a published version as a site into a folder: pages that work from any bucket and from files,
        without a server; returns the page to open. Stopped anywhere, the same call goes on.

        exemplars: with the photographs that excite units most, where some were scanned.
        """
        where = self._transport, self.id, to
        return export_site(*where, version=version, exemplars=exemplars, on_progress=on_progress)

    def remove(self) -> None:
        """Remove it with all its versions. Its pictures stay."""
        self._transport.delete(self._path)

    def wait(self, on_progress: OnProgress | None = None, *, timeout: float | None = None) -> "Atlas":
        """Block until it is complete, or paused or canceled by someone; calls on_progress(atlas) after every
        look."""
        for atlas in self.polls(timeout):
            if on_progress is not None:
                on_progress(atlas)
        return self

    def _send(self, action: str, body: Json) -> "Atlas":
        self._raw = self._transport.post(f"{self._path}/{action}", body).body
        return self


def _extension(
    layers: str | Sequence[str] | None, units: str | Sequence[int] | None, facets: int | None
) -> Json:
    asked = {"layers": listed(layers), "units": listed(units), "facets": facets}
    return {name: value for name, value in asked.items() if value is not None}
