"""Finished pictures, and the units that they show."""

import base64
import functools
import html
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from imago.errors import ImagoError
from imago.exemplars.exemplar import Exemplar, UnitStatistics
from imago.files import open_image, write_whole
from imago.records import ItemError, Prediction, Raw
from imago.search.found import Neighbours
from imago.transport import Parameters, Transport, path_to

if TYPE_CHECKING:
    from PIL.Image import Image


Place: TypeAlias = tuple[tuple[int, int] | None, int | None]
"""A position and a token, each None for the usual one."""


@dataclass(frozen=True, eq=False)
class Visualization:
    """The result of one spec: the picture that a unit wants to see, or why there is none.

    digest: 64 hex digits that name it for ever. position: (y, x) in the layer's map, None for the centre.
    token: number of the token that it is read at, None for the layer's usual one, and where it has none.
    state: `queued`, `leased`, `done`, `failed`, `unreachable` or `canceled`.
    activation: the unit's response to the stored 8-bit picture. score: how good the network finds the whole
    picture of this unit, None where the server never asked. best: of a job's item, whether no other candidate
    of its unit and seed has a higher score by now; None elsewhere. label: the class name of an output unit.
    """

    digest: str
    network: str
    layer: str
    unit: int
    position: tuple[int, int] | None
    token: int | None
    seed: int
    state: str
    label: str | None
    activation: float | None
    score: float | None
    best: bool | None
    error: ItemError | None
    raw: Raw = field(repr=False)
    _transport: Transport = field(repr=False)

    @classmethod
    def read(cls, raw: Raw, transport: Transport) -> "Visualization":
        """From what the server has answered."""
        position = raw["position"]
        return cls(
            digest=raw["digest"],
            network=raw["network"],
            layer=raw["layer"],
            unit=raw["unit"],
            position=(position[0], position[1]) if position else None,
            token=raw.get("token"),
            seed=raw["seed"],
            state=raw["state"],
            label=raw["label"],
            activation=raw["activation"],
            score=raw.get("score"),
            best=raw.get("best"),
            error=ItemError.read(raw["error"]),
            raw=raw,
            _transport=transport,
        )

    @functools.cached_property
    def detail(self) -> Raw:
        """Everything the server knows of it: generator, recipe, predictions, crop box, provenance."""
        return self._transport.get(path_to("visualizations", self.digest))

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """What its network says of the picture, most probable first; empty if the network has no classes."""
        return tuple(
            Prediction(entry["index"], entry["label"], entry["probability"])
            for entry in self.detail["predictions"] or ()
        )

    def image_bytes(
        self, *, view: str | None = None, size: int | None = None, format: str | None = None
    ) -> bytes:
        """The picture, a PNG unless told otherwise.

        view: `full`, or `crop` for what the unit can see; by default the whole picture. size: pixels of its
        longer side, 64, 128, 256 or 512; nothing is enlarged. format: `png`, `webp`, `avif` or `jpg`.
        """
        if view is not None or size is not None or format is not None:
            return self._image(view, size, format)
        return self._default_image

    def image(
        self, *, view: str | None = None, size: int | None = None, format: str | None = None
    ) -> "Image":
        """The picture as a PIL image (needs the `pictures` extra); see `image_bytes`."""
        return open_image(self.image_bytes(view=view, size=size, format=format))

    def save(self, path: str | os.PathLike[str], *, view: str | None = None) -> Path:
        """Write the PNG to a file, or into a folder under `filename`; returns the path.

        An existing folder, or a path that ends in a slash, is a folder. A file appears whole or not at all.
        """
        wanted = Path(path)
        if wanted.is_dir() or os.fspath(path).endswith(("/", os.sep)):
            wanted /= self.filename(view)
        return write_whole(wanted, self.image_bytes(view=view))

    def filename(self, view: str | None = None) -> str:
        """A file name that tells what is shown and never collides: it ends with the digest's beginning."""
        parts = [self.network, self.layer, f"{self.unit:05d}"]
        if self.label:
            parts.append(re.sub(r"[^0-9a-z]+", "-", self.label.lower())[:40].strip("-"))
        if self.position:
            parts.append("y{}x{}".format(*self.position))
        if self.token is not None:
            parts.append(f"t{self.token}")
        parts += [f"s{self.seed}", self.digest[:8]]
        if view:
            parts.append(view)
        return re.sub(r"[^0-9A-Za-z._-]", "-", "__".join(parts)) + ".png"

    @property
    def title(self) -> str:
        """`network/layer/unit`, with the place and the class name where there are any."""
        place = "@{},{}".format(*self.position) if self.position else ""
        if self.token is not None:
            place = f"@{self.token}"
        name = f" ({self.label})" if self.label else ""
        return f"{self.network}/{self.layer}/{self.unit}{place}{name}"

    def _image(self, view: str | None = None, size: int | None = None, format: str | None = None) -> bytes:
        if self.state != "done":
            raise ImagoError(f"{self.title} has no picture: it is {self.state}.")
        asked = {"view": view, "size": size, "format": format}
        return self._transport.get_bytes(path_to("visualizations", self.digest, "image"), asked)

    @functools.cached_property
    def _default_image(self) -> bytes:
        return self._image()

    def _repr_png_(self) -> bytes | None:
        return self.image_bytes() if self.state == "done" else None

    def _repr_html_(self) -> str:
        if self.state != "done":
            why = f": {self.error.message}" if self.error else ""
            return f"<p><b>{html.escape(self.title)}</b> {html.escape(self.state + why)}</p>"
        measured = "" if self.activation is None else f" · activation {self.activation:.3g}"
        return figure(self.image_bytes(), self.title, f"{self.title}{measured} · seed {self.seed}")


def figure(png: bytes, title: str, caption: str, *, width: int | None = None) -> str:
    """A picture above its caption, for notebooks, where several stand side by side. width: in pixels."""
    picture = base64.b64encode(png).decode()
    wide = "" if width is None else f' width="{width}"'
    return (
        '<figure style="display:inline-block;margin:4px">'
        f'<img src="data:image/png;base64,{picture}" alt="{html.escape(title)}"{wide}>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


class Unit:
    """One unit of a layer, and the pictures of it. Asks the server only when it has to."""

    def __init__(
        self, network: str, layer: str, number: int, transport: Transport, raw: Raw | None = None
    ) -> None:
        self.network = network
        self.layer = layer
        self.number = number
        self._transport = transport
        self._raw = raw

    def __repr__(self) -> str:
        return f"<Unit {self.network}/{self.layer}/{self.number}>"

    @property
    def raw(self) -> Raw:
        """The unit as the server's JSON."""
        if self._raw is None:
            self.refresh()
        assert self._raw is not None
        return self._raw

    @property
    def label(self) -> str | None:
        """The name of its class, for a unit of the output."""
        return self.raw.get("label")

    @property
    def pictures(self) -> int:
        """How many pictures there are of it."""
        return int(self.raw["pictures"])

    def refresh(self) -> "Unit":
        """Ask the server how many pictures it has by now, and which is the best."""
        self._raw = self._transport.get(self._path)
        return self

    def best(self) -> Visualization | None:
        """The visualization that its network finds best so far, or None if there is none."""
        path = self.raw["links"]["best"]
        return Visualization.read(self._transport.get(path), self._transport) if path else None

    def best_at(self, place: Place) -> Visualization | None:
        """The best of its pictures that were made at one place, None where there is none of the network as it
        is now."""
        unit: Parameters = {
            "network": self.network,
            "layer": self.layer,
            "unit": self.number,
            "state": "done",
        }
        found = self._transport.entries(path_to("visualizations"), unit)
        pictures = (Visualization.read(raw, self._transport) for raw in found)
        there = [picture for picture in pictures if (picture.position, picture.token) == place]
        if not there:
            return None
        now = self._transport.get(path_to("networks", self.network))["network_sha256"]
        same = (each for each in sorted(there, key=_best_first) if each.detail["network_sha256"] == now)
        return next(same, None)

    @property
    def statistics(self) -> UnitStatistics | None:
        """How strongly real pictures excite it; None where none were scanned."""
        if "statistics" not in self.raw:  # an entry of a list
            self.refresh()
        found = self.raw.get("statistics")
        return UnitStatistics.read(found) if found else None

    def exemplars(self, *, scan: str | None = None) -> list[Exemplar]:
        """The real pictures that excite it most, the strongest first, of the newest scan or of one that is
        named. Raises NotFound where none were scanned."""
        found = self._transport.get(f"{self._path}/exemplars", {"scan": scan})
        return [Exemplar.read(raw, self._transport) for raw in found["exemplars"]]

    def image_bytes(self, *, size: int | None = None, format: str | None = None) -> bytes:
        """Its best picture now, a PNG unless told otherwise; size and format as in `Visualization`."""
        return self._transport.get_bytes(f"{self._path}/image", {"size": size, "format": format})

    def image(self, *, size: int | None = None, format: str | None = None) -> "Image":
        """Its best picture now, as a PIL image (needs the `pictures` extra)."""
        return open_image(self.image_bytes(size=size, format=format))

    def neighbours(
        self,
        *,
        within: str = "layer",
        limit: int = 20,
        digest: str | None = None,
        min_percentile: float | None = None,
    ) -> Neighbours:
        """The units whose pictures look most like its best one, or like that of a digest, the likest first.

        within: `layer`, `network`, or `all` there is. min_percentile: of the hundred likest only those whose
        pictures excite their unit more than so many of 100 scanned ones. NotFound while its picture is not
        indexed yet.
        """
        least = None if min_percentile is None else str(min_percentile)
        asked: Parameters = {"within": within, "limit": limit, "digest": digest, "min_percentile": least}
        return Neighbours.read(self._transport.get(f"{self._path}/neighbours", asked))

    def _repr_png_(self) -> bytes | None:
        return self.image_bytes() if self.pictures else None

    @property
    def _path(self) -> str:
        return path_to("networks", self.network, "layers", self.layer, "units", self.number)


def _best_first(picture: Visualization) -> tuple[float, float, str]:
    """The server's order of a unit's pictures: by score, then by activation, what lacks one last."""
    score, activation = (-math.inf if it is None else it for it in (picture.score, picture.activation))
    return -score, -activation, picture.digest
