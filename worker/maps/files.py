"""Files by which a worker and the process that draws a map exchange data, and the format of the points as
they are stored and served.

A file of points has no more than is needed to draw them, 14 bytes a point. All numbers are little-endian:

    8 bytes  "imagomap"          x      float32, 0 to 1, as many as there are points
    uint32   1, the version      y      float32
    uint32   number of points    unit   uint32
                                 layer  uint16, the number of a name in `layers` of the map

Points are in random order: those that a file begins with are a fair sample of all of them.
"""

import struct
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

VECTORS, LAYERS, UNITS, SAID, LABELS = "vectors.f2", "layers.u2", "units.u4", "said.i4", "labels.json"
"""Input: of each unit its embedding (128 float16), the number of its layer, its own number, and the number of
its label or -1; and `Names`."""
POINTS, FACTS = "points", "facts.json"
"""Output: the points, and `Facts`."""
_MAGIC, _VERSION = b"imagomap", 1
_COLUMNS = ("<f4", "<f4", "<u4", "<u2")
"""Of points: x, y, unit, layer."""


class Names(TypedDict):
    """What the numbers of layers and labels stand for: indices into these lists."""

    layers: list[str]
    labels: list[str]


class Facts(TypedDict):
    """What is stored of a map beside its points; see `MapRow`."""

    fitted: int
    labels: list[list[dict[str, Any]]]


def points(
    places: npt.NDArray[np.float32], units: npt.NDArray[np.uint32], layers: npt.NDArray[np.uint16]
) -> bytes:
    """The file of so many points; `places` are n x 2."""
    columns: tuple[npt.NDArray[Any], ...] = (places[:, 0], places[:, 1], units, layers)
    written = (column.astype(kind).tobytes() for column, kind in zip(columns, _COLUMNS, strict=True))
    header = _MAGIC + struct.pack("<II", _VERSION, len(places))
    return header + b"".join(written)


def read_points(
    file: bytes,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """The columns of such a file: x, y, units, layers."""
    begins = len(_MAGIC) + struct.calcsize("<II")
    count = struct.unpack_from("<II", file, len(_MAGIC))[1]
    columns = []
    for kind in _COLUMNS:
        column = np.frombuffer(file, kind, count, begins)
        begins += column.nbytes
        columns.append(column)
    return tuple(columns)  # type: ignore[return-value]
