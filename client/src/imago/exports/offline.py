"""Answers, from the files of an export, what a server would be asked of an atlas.

So an exported atlas is the same object as one on a server: its units, pictures and predictions are read in
the same way.
"""

import io
import re
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from typing import Any
from urllib.parse import unquote

from imago.errors import ImagoError, InvalidRequest, NotFound
from imago.exports.checking import DamagedExport, all_lines, placed_lines
from imago.exports.files import Files
from imago.exports.hashes import Index
from imago.exports.layout import detail_of, facet_of
from imago.files import open_image
from imago.records import Raw
from imago.transport import Answer, Json, Parameters, Patience, Transport, path_to

_OUTPUT_ALIASES = ("output", "logits")
"""What any network's output layer is called beside its own name."""
_SIZES = ("64", "128", "256", "512")
_VIEWS = ("full", "crop")
_FORMATS = {"png": "PNG", "webp": "WEBP", "avif": "AVIF", "jpg": "JPEG"}
"""Of pictures, by what they are called in requests; Pillow's names."""


class OfflineTransport(Transport):
    """Reads an export where another transport asks a server. Nothing can be changed."""

    def __init__(self, files: Files, manifest: Raw) -> None:
        self.url, self.key = files.where, None
        self.patience = Patience()
        self._files, self._manifest = files, manifest
        self._layers: dict[str, Raw] = {layer["layer"]: layer for layer in manifest["layers"]}
        self._offsets: Index | None = None
        atlas = re.escape(path_to("atlases", manifest["atlas"]))
        picture = re.escape(path_to("visualizations")) + "/([0-9a-f]{64})"
        self._answers: list[tuple[str, Callable[..., Any]]] = [
            (atlas, lambda: atlas_of(manifest)),
            (f"{atlas}/layers", lambda: map(_layer_of, manifest["layers"])),
            (f"{atlas}/versions", lambda: iter([_version_of(manifest)])),
            (f"{atlas}/versions/([^/]+)", self._version),
            (f"{atlas}/versions/([^/]+)/layers/([^/]+)/units", self._units),
            (picture, self._detail),
        ]

    def close(self) -> None:
        self._files.close()

    def get(
        self, path: str, parameters: Parameters | None = None, *, patience: Patience | None = None
    ) -> Json:
        found: Json = self._answer(path)
        return found

    def entries(
        self, path: str, filters: Parameters | None = None, limit: int | None = None
    ) -> Iterator[Json]:
        return islice(self._answer(path), limit)

    def lines(self, path: str, parameters: Parameters | None = None) -> Iterator[Json]:
        found: Iterator[Json] = self._answer(path)
        return found

    def get_bytes(self, path: str, parameters: Parameters | None = None) -> bytes:
        found = re.fullmatch(re.escape(path_to("visualizations")) + "/([0-9a-f]{64})/image", path)
        if found is None:
            raise _not_in(self._files)
        asked = {name: str(value) for name, value in (parameters or {}).items() if value is not None}
        view, size, format = asked.get("view", "full"), asked.get("size"), asked.get("format", "png")
        _check_asked("view", view, _VIEWS)
        _check_asked("size", size or _SIZES[0], _SIZES)
        _check_asked("format", format, tuple(_FORMATS))
        line = self._line(found[1])
        if line["file_name"] is None:
            raise NotFound(f"There is no picture of {line['layer']}/{line['unit']}: it is {line['state']}.")
        content = self._files.read(line["file_name"])
        crop = line["crop_box"] if view == "crop" else None
        if crop is None and size is None and line["media_type"] == f"image/{format}":
            return content
        return _rendered(content, crop, None if size is None else int(size), format)

    def post(
        self,
        path: str,
        body: Json | None = None,
        *,
        idempotency_key: str | None = None,
        patience: Patience | None = None,
    ) -> Answer:
        raise _unchangeable(self._files)

    def delete(self, path: str) -> None:
        raise _unchangeable(self._files)

    def _answer(self, path: str) -> Any:
        for pattern, answer in self._answers:
            if (found := re.fullmatch(pattern, path)) is not None:
                return answer(*map(unquote, found.groups()))
        raise _not_in(self._files)

    def _version(self, named: str) -> Json:
        number = self._manifest["version"]
        if named not in ("latest", str(number)):
            raise NotFound(f"{self._files.where} holds version {number} of the atlas only.")
        return _version_of(self._manifest)

    def lines_by_unit(self, layer: str | None = None) -> Iterator[list[Raw]]:
        """Those of a layer, or all, unit by unit in the order of the export. Raises `NotFound`."""
        if layer is None:
            found = all_lines(self._files)
        else:
            at = self._layer(layer)
            found = islice(all_lines(self._files, at["offset"]), at["lines"])
        return (list(some) for _, some in groupby(found, lambda line: (line["layer"], line["unit"])))

    def _units(self, version: str, layer: str) -> Iterator[Json]:
        self._version(version)
        return map(unit_of, self.lines_by_unit(layer))

    def _layer(self, named: str) -> Raw:
        """By its name; `output` and `logits` are also those of the network's output. Raises `NotFound`."""
        if named in self._layers:
            return self._layers[named]
        for layer in self._layers.values():
            if named in _OUTPUT_ALIASES and (layer.get("in_network") or {}).get("kind") == "output":
                return layer
        there = ", ".join(self._layers)
        raise NotFound(f"{self._files.where} does not show a layer {named!r}; it has {there}.")

    def _detail(self, digest: str) -> Json:
        line, recipes = self._line(digest), self._manifest["recipes"]
        if line["recipe"] not in recipes:
            raise DamagedExport(f"{self._files.where} does not tell the recipe {line['recipe']}.")
        return detail_of(line, recipes)

    def _line(self, digest: str) -> Raw:
        """By an index of where each line begins, 16 bytes each, made when it is needed for the first time."""
        if self._offsets is None:
            found = placed_lines(self._files)
            self._offsets = Index(1, ((_key_of(line["digest"]), begins) for begins, line in found))
        for (begins,) in self._offsets.of(_key_of(digest)):
            line = next(all_lines(self._files, begins))
            if line["digest"] == digest:
                return line
        raise NotFound(f"{self._files.where} has no picture {digest}.")


def _key_of(digest: str) -> int:
    """64 bits that stand for a digest."""
    return int(digest[:16], 16)


def unit_of(found: list[Raw]) -> Json:
    """A unit as a server shows it, from its lines."""
    first = found[0]
    named = {name: first[name] for name in ("network", "layer", "unit", "label")}
    id = "{network}/{layer}/{unit}".format(**first)
    return {"id": id, **named, "object": "atlas_unit", "facets": [facet_of(line) for line in found]}


def atlas_of(manifest: Raw) -> Json:
    """The atlas as a server shows it: complete, with this version alone."""
    total = _pictures(manifest["layers"])
    progress = {"pictures": total, "rate": None, "eta_seconds": None, "eta_range": None}
    return {
        "id": manifest["atlas"],
        "object": "atlas",
        **{name: manifest[name] for name in ("name", "network", "network_sha256", "request")},
        "visibility": "private",
        "state": "complete",
        "open_version": manifest["version"],
        "latest_version": manifest["version"],
        "layer_count": len(manifest["layers"]),
        "progress": progress,
        "errors": [],
        "created_at": manifest["published_at"],
    }


def _layer_of(layer: Raw) -> Json:
    return {**layer, "pictures": _pictures([layer])}


def _version_of(manifest: Raw) -> Json:
    named = {name: manifest[name] for name in ("request", "network_sha256", "published_at", "layers")}
    return {"number": manifest["version"], "atlas": manifest["atlas"], "published": True, **named}


def _pictures(layers: list[Raw]) -> Json:
    done = sum(layer["pictures"] for layer in layers)
    unreachable = sum(layer["unreachable"] for layer in layers)
    none = dict.fromkeys(("failed", "canceled", "queued", "leased"), 0)
    total = done + unreachable
    return {**none, "total": total, "expanded": total, "done": done, "unreachable": unreachable}


def _rendered(content: bytes, crop: Any, size: int | None, format: str) -> bytes:
    """In another size or format than the file has, as a server does it. Needs Pillow."""
    image = open_image(content)
    if crop is not None:
        image = image.crop(crop)
    if size is not None and max(image.size) > size:
        image.thumbnail((size, size))
    file = io.BytesIO()
    try:
        image.convert("RGB").save(file, format=_FORMATS[format])
    except (KeyError, OSError) as error:  # a Pillow that was built without it
        raise ImagoError(f"Pillow cannot write {format} here: {error}.") from error
    return file.getvalue()


def _check_asked(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raises `InvalidRequest`, as a server does."""
    if value not in known:
        *first, last = known
        raise InvalidRequest(f"{name} must be {', '.join(first)} or {last}; got {value!r}.")


def _not_in(files: Files) -> NotFound:
    return NotFound(f"An exported atlas does not tell this: {files.where}.")


def _unchangeable(files: Files) -> ImagoError:
    return ImagoError(f"{files.where} is an exported atlas, which nothing changes.")
