"""The map of an atlas: a place in the plane for each unit. Units that want to see alike lie together."""

import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

from imago.atlases.awaited import Awaited
from imago.errors import ImagoError
from imago.records import Raw
from imago.transport import Transport

_HEADER = struct.Struct("<8sII")
_MAGIC, _VERSION = b"imagomap", 1


class MapLabel(NamedTuple):
    """What the network says of the pictures of a region: `units` of its `of` units are seen so."""

    label: str
    x: float
    y: float
    units: int
    of: int


class MapPoint(NamedTuple):
    """The place of a unit: x and y are between 0 and 1."""

    layer: str
    unit: int
    x: float
    y: float


@dataclass(frozen=True)
class MapPoints:
    """The points of a map in random order, as columns of equal length, which numpy reads as they are
    (`numpy.asarray(points.x)`). `layer` has numbers of `layers`."""

    x: "array[float]"
    y: "array[float]"
    unit: "array[int]"
    layer: "array[int]"
    layers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.unit)

    def __iter__(self) -> Iterator[MapPoint]:
        for x, y, unit, layer in zip(self.x, self.y, self.unit, self.layer, strict=True):
            yield MapPoint(self.layers[layer], unit, x, y)


class AtlasMap(Awaited):
    """A map. Its attributes are what the server said last: `refresh` asks again, `wait` till it is made."""

    @classmethod
    def get(cls, path: str, transport: Transport) -> "AtlasMap":
        """Ask the server."""
        return cls(transport.get(path), transport)

    def __repr__(self) -> str:
        state = f"{self.raw['map']['units']} units" if self.made else "not made"
        return f"<AtlasMap {self.raw['atlas']}/{self.raw['version']}: {state}>"

    @property
    def made(self) -> bool:
        """Whether there is one."""
        return self.raw["map"] is not None

    @property
    def facts(self) -> Raw:
        """As the server's JSON: units, fitted, unseen, pictures, eye, name."""
        self._check_made()
        facts: Raw = self.raw["map"]
        return facts

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that its units are of."""
        return tuple(self.facts["layers"])

    @property
    def labels(self) -> list[list[MapLabel]]:
        """What regions show, coarse to fine: a list a level."""
        return [[MapLabel(**label) for label in level] for level in self.facts["labels"]]

    def points(self) -> MapPoints:
        """Where its units are."""
        self._check_made()
        return read_points(self._transport.get_bytes(self.raw["links"]["points"]), self.layers)

    def make(self) -> "AtlasMap":
        """Have it made where there is none, or where it is out of date. It takes some minutes."""
        self.raw = self._transport.post(self.raw["links"]["self"]).body
        return self

    def wait(self, timeout: float | None = None, *, current: bool = False) -> Self:
        """Have it made if there is none, and block until there is. Raises WaitTimeout after so many seconds,
        also while the server is away, ImagoError where it was given up.

        current: where there is one that is out of date, block until the next one (`make` asks for it).
        """
        wait = self._given(timeout)
        if not self.made and not self.coming:
            self.raw = wait.post(self.raw["links"]["self"])
        return self._await(wait, current=current)


def read_points(content: bytes, layers: tuple[str, ...]) -> MapPoints:
    """The columns of a file of points. Raises ImagoError for what is none, or of a later format."""
    if len(content) < _HEADER.size or content[:8] != _MAGIC:
        raise ImagoError("These are no points of a map.")
    _, version, count = _HEADER.unpack_from(content)
    if version != _VERSION:
        raise ImagoError(f"The points have format {version}; this release of imago reads {_VERSION}.")
    x, y, unit, layer = array("f"), array("f"), array("I"), array("H")
    at = _HEADER.size
    for column in (x, y, unit, layer):
        size = column.itemsize * count
        column.frombytes(content[at : at + size])
        if sys.byteorder == "big":
            column.byteswap()
        at += size
    if len(content) != at:
        raise ImagoError("The points of the map are cut off.")
    return MapPoints(x, y, unit, layer, layers)
