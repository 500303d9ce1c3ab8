"""Where the units of an exported atlas lie on its map: two more columns of its table if there is a map."""

from array import array
from bisect import bisect_left
from typing import Any

from imago.atlases.atlas_map import AtlasMap
from imago.errors import NotFound
from imago.records import Raw
from imago.transport import Transport, path_to

COLUMNS = ("projection_x", "projection_y")


class Places:
    """The places of a map by layer and unit, in 16 bytes each."""

    def __init__(self, map: AtlasMap) -> None:
        points = map.points()
        self._layers = {name: number for number, name in enumerate(points.layers)}
        keys = [layer << 32 | unit for layer, unit in zip(points.layer, points.unit, strict=True)]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = array("Q", (keys[at] for at in order))
        self._x = array("f", (points.x[at] for at in order))
        self._y = array("f", (points.y[at] for at in order))

    def of(self, line: Raw) -> dict[str, Any]:
        """The columns of a line; None where the map does not show its unit."""
        key = self._layers.get(line["layer"], 0xFFFF) << 32 | line["unit"]
        at = bisect_left(self._keys, key)
        if at == len(self._keys) or self._keys[at] != key:
            return dict.fromkeys(COLUMNS)
        return dict(zip(COLUMNS, (self._x[at], self._y[at]), strict=True))


def places_of(transport: Transport, atlas: str, number: int) -> Places | None:
    """Of the map of a version, None where there is none."""
    try:
        map = AtlasMap.get(path_to("atlases", atlas, "versions", number, "map"), transport)
        return Places(map) if map.made else None
    except NotFound:  # no picture, or a server that knows no maps
        return None
