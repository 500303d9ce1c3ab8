"""Two versions of atlases side by side: a figure a layer, the units that changed most, pictures of these."""

import html
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imago.atlases.awaited import Awaited
from imago.files import open_image, write_whole
from imago.records import Raw
from imago.transport import Parameters, Transport, path_to

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class ComparedUnit:
    """A unit of both, with its best picture in each. distance: how unlike these are, 0 for equal ones.

    same_label: whether both networks see the same first, None where one says nothing. a, b: digest,
    activation, percentile, label, probability and links, as the server's JSON.
    """

    unit: int
    label: str | None
    distance: float
    same_label: bool | None
    a: Raw = field(repr=False)
    b: Raw = field(repr=False)
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "ComparedUnit":
        """From what the server has answered."""
        names = ("unit", "label", "distance", "same_label", "a", "b")
        return cls(**{name: raw[name] for name in names}, raw=raw)


@dataclass(frozen=True)
class ComparedLayer:
    """A layer of both. only_a, only_b: units that only one has a picture of; not_indexed: units that could
    not be compared yet. The rest is None until all its units were compared, or where none could be.

    matched, equal: units that were compared, and of these those with the same picture in both. distance: the
    mean; quantiles: (level, distance). activation, percentile: mean differences, b minus a. same_labels:
    share of units in which both networks see the same.
    """

    name: str
    other_name: str
    only_a: int
    only_b: int
    not_indexed: int
    matched: int | None
    equal: int | None
    distance: float | None
    quantiles: Sequence[tuple[float, float]]
    activation: float | None
    percentile: float | None
    same_labels: float | None
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "ComparedLayer":
        """From what the server has answered."""
        figures = raw["figures"] or {}
        distance = figures.get("distance") or {}
        return cls(
            name=raw["layer"],
            other_name=raw["other_layer"],
            only_a=raw["only_a"],
            only_b=raw["only_b"],
            not_indexed=raw["not_indexed"],
            matched=figures.get("matched"),
            equal=figures.get("equal"),
            distance=distance.get("mean"),
            quantiles=[(each["level"], each["distance"]) for each in distance.get("quantiles", ())],
            activation=figures.get("activation", {}).get("difference"),
            percentile=figures.get("percentile", {}).get("difference"),
            same_labels=figures.get("labels", {}).get("share"),
            raw=raw,
        )


class Comparison(Awaited):
    """Two versions of atlases side by side. Its attributes are what the server said last; `refresh` asks
    again, `wait` till it is made."""

    @classmethod
    def get(cls, a: str, b: str, transport: Transport) -> "Comparison":
        """Ask the server, which has it made if there is none."""
        return cls(transport.get(path_to("compare"), {"a": a, "b": b}), transport)

    def __repr__(self) -> str:
        seen, units = self.progress
        state = "made" if self.made else f"{seen} of {units} units compared"
        return f"<Comparison {self.a} {self.b}: {state}>"

    def _repr_html_(self) -> str:
        """A row a layer, for notebooks."""
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row_of(layer)) + "</tr>"
            for layer in self.layers
        )
        heads = "".join(f"<th>{head}</th>" for head in HEADINGS)
        return f"<div>{html.escape(repr(self)[1:-1])}<table><tr>{heads}</tr>{rows}</table></div>"

    @property
    def a(self) -> str:
        """The first version, as `ATLAS@VERSION`."""
        return self._side("a")

    @property
    def b(self) -> str:
        """The second one."""
        return self._side("b")

    @property
    def made(self) -> bool:
        """Whether there is one."""
        return self.raw["made_at"] is not None

    @property
    def progress(self) -> tuple[int, int]:
        """Units that were looked at, and all of them."""
        return self.raw["progress"]["seen"], self.raw["progress"]["units"]

    @property
    def layers(self) -> Sequence[ComparedLayer]:
        """The layers of both, in the order of the first network."""
        return [ComparedLayer.read(raw) for raw in self.raw["layers"]]

    @property
    def unmatched(self) -> Sequence[Raw]:
        """Layers that are not compared, each with the reason, as the server's JSON."""
        found: Sequence[Raw] = self.raw["unmatched"]
        return found

    @property
    def _asked(self) -> tuple[str, Parameters | None]:
        return path_to("compare"), {"a": self.a, "b": self.b}

    def units(self, layer: str, *, limit: int | None = None) -> Iterator[ComparedUnit]:
        """The units of a layer, the most changed first, page by page as you iterate."""
        for raw in self._transport.entries(path_to("compare", "units"), self._of(layer), limit):
            yield ComparedUnit.read(raw)

    def sheet_bytes(self, layer: str) -> bytes:
        """A JPEG of the most changed units of a layer: pairs, a left and b right."""
        return self._transport.get_bytes(path_to("compare", "sheet.jpg"), self._of(layer))

    def sheet(self, layer: str) -> "Image":
        """The same as a PIL image (needs the `pictures` extra)."""
        return open_image(self.sheet_bytes(layer))

    def save_sheet(self, layer: str, path: str | os.PathLike[str]) -> Path:
        """Write it to a file; returns the path."""
        return write_whole(Path(path), self.sheet_bytes(layer))

    def _of(self, layer: str) -> Parameters:
        return {"a": self.a, "b": self.b, "layer": layer}

    def _side(self, name: str) -> str:
        side = self.raw[name]
        return f"{side['atlas']}@{side['version']}"


HEADINGS = ("LAYER", "UNITS", "DISTANCE", "MEDIAN", "ACTIVATION", "PERCENTILE", "SAME LABEL", "NOT COMPARED")


def row_of(layer: ComparedLayer) -> tuple[str, ...]:
    """What people read of a layer, below `HEADINGS`."""
    median = dict(layer.quantiles).get(0.5)
    left = layer.only_a + layer.only_b + layer.not_indexed
    return (
        layer.name if layer.name == layer.other_name else f"{layer.name} | {layer.other_name}",
        "" if layer.matched is None else str(layer.matched),
        "" if layer.distance is None else f"{layer.distance:.3f}",
        "" if median is None else f"{median:.3f}",
        "" if layer.activation is None else f"{layer.activation:+.3g}",
        "" if layer.percentile is None else f"{layer.percentile:+.1f}",
        "" if layer.same_labels is None else f"{100 * layer.same_labels:.0f} %",
        str(left) if left else "",
    )
