"""The manifest of an exported atlas: what its pictures have in common, with the hashes of the files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imago.errors import Conflict, InvalidRequest, NotFound
from imago.exports.conversion import Conversion
from imago.exports.layout import FORMAT, FORMAT_VERSION
from imago.records import Raw
from imago.transport import Json, Transport, path_to
from imago.version import __version__

_OF_ONE_SERVER = ("links", "object", "is_default", "is_here", "look")
"""What a record says of the server that shows it, or of the moment."""


@dataclass(frozen=True)
class Export:
    """An atlas's version that is to be exported, as the server shows it."""

    atlas: Raw
    version: Raw
    images: Conversion

    @property
    def identity(self) -> Json:
        """What tells this export from others."""
        return {
            "atlas": self.atlas["id"],
            "version": self.version["number"],
            "images": {"format": self.images.format, "size": self.images.size},
        }

    @property
    def pictures(self) -> int:
        """How many entries it has, with those that have no picture."""
        return sum(layer["pictures"] + layer["unreachable"] for layer in self.version["layers"])


def to_export(transport: Transport, id: str, version: int | str, images: Conversion) -> Export:
    """Look the version up. Raises `Conflict` for one that is being built: what is exported stays as it is."""
    found = transport.get(path_to("atlases", id, "versions", version))
    if not found["published"]:
        raise Conflict(
            f"Version {found['number']} of the atlas {id} is being built and changes; "
            f"publish it, then export it: POST {path_to('atlases', id, 'publish')}."
        )
    return Export(transport.get(path_to("atlases", id)), found, images)


@dataclass
class Contents:
    """What was written, as it is told at the end. layers: by name, where its lines begin in units.jsonl, how
    many there are, and how many have a picture."""

    layers: dict[str, Json] = field(default_factory=dict)
    recipes: dict[str, Raw] = field(default_factory=dict)
    generators: set[str] = field(default_factory=set)

    def add(self, line: Raw, recipe: Raw, offset: int) -> None:
        """Count a line that begins at this byte."""
        layer = self.layers.setdefault(line["layer"], {"offset": offset, "lines": 0, "files": 0})
        layer["lines"] += 1
        layer["files"] += line["file_name"] is not None
        self.recipes.setdefault(line["recipe"], recipe)
        if line["generator"]:
            self.generators.add(line["generator"])


def manifest_of(transport: Transport, export: Export, contents: Contents, files: Mapping[str, Any]) -> Json:
    """The manifest. files: sha256 and bytes of each file that is no picture."""
    network = export.atlas["network"]
    layers = []
    for shown in export.version["layers"]:
        if (found := contents.layers.get(shown["layer"])) is not None:
            inspected = _layer(transport, path_to("networks", network, "layers", shown["layer"]))
            layers.append({**_plain(shown), **found, "in_network": inspected})
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "made_with": f"imago {__version__}",
        **export.identity,
        "name": export.atlas["name"],
        "published_at": export.version["published_at"],
        "request": export.version["request"],
        "network": network,
        "network_sha256": export.version["network_sha256"],
        "network_now": _known(transport, path_to("networks", network)),
        "layers": layers,
        "recipes": dict(sorted(contents.recipes.items())),
        "generators": [_known(transport, path_to("generators", id)) for id in sorted(contents.generators)],
        "entries": sum(layer["lines"] for layer in layers),
        "pictures": sum(layer["files"] for layer in layers),
        "files": dict(files),
    }


def _layer(transport: Transport, path: str) -> Json | None:
    """Also one that the network has no more, or that no inspection has found there."""
    try:
        return _plain(transport.get(path, {"former": "true"}))
    except NotFound:
        return None
    except InvalidRequest:
        # The server is of a release that tells of no former layers.
        return _known(transport, path)


def _known(transport: Transport, path: str) -> Json | None:
    try:
        return _plain(transport.get(path))
    except NotFound:
        return None


def _plain(raw: Raw) -> Json:
    """Without what holds on one server, or for a moment, only."""
    return {name: value for name, value in raw.items() if name not in _OF_ONE_SERVER}
