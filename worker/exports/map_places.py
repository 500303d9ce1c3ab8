"""Where a map shows the units of an atlas, for the table of its export."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from services.base.storage import ObjectStore
from services.maps.final import FinalMap
from worker.maps.files import read_points


@dataclass(frozen=True)
class MapPlaces:
    """Places by layer and unit, in 16 bytes each. `keys` ascend: the number of the layer times 2^32, plus the
    unit; x and y are between 0 and 1."""

    name: str
    layers: dict[str, int]
    keys: npt.NDArray[np.uint64]
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]

    @classmethod
    def read(cls, store: ObjectStore, map: FinalMap) -> Self:
        """Raises `NotFound` or `Corrupt` where the store has lost its points."""
        with store.verified(map.points_object) as file:
            x, y, units, layers = read_points(file.read())
        keys = layers.astype(np.uint64) << np.uint64(32) | units
        order = np.argsort(keys)
        numbers = {name: number for number, name in enumerate(map.layers)}
        return cls(map.name, numbers, keys[order], x[order], y[order])

    def of(self, layer: str, unit: int) -> tuple[float, float] | None:
        """None where the map does not show the unit."""
        number = self.layers.get(layer)
        if number is None:
            return None
        key = np.uint64(number << 32 | unit)
        at = int(np.searchsorted(self.keys, key))
        if at == len(self.keys) or self.keys[at] != key:
            return None
        return float(self.x[at]), float(self.y[at])
