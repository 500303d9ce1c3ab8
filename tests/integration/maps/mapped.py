"""Atlases whose pictures have embeddings and labels that a test chooses, and a worker that maps them."""

import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.maps import maps
from services.maps.maps import ShownMap
from tests.integration.atlases.building import carry_out, make
from tests.integration.search.indexed import direction, work_off
from worker.leasing.held_leases import HeldLeases
from worker.maps.map_turn import Maps
from worker.process.stopping import StopFlag

LAYER = "blocks.4"
KINDS = 4
"""Groups of units whose pictures look alike: unit u is of group u % KINDS, which its label names."""


def kind_of(unit: int) -> int:
    return unit % KINDS


def built(database: Database, units: str = "all", without: tuple[int, ...] = (), **asked: Any) -> str:
    """An atlas of up to 112 units in four groups; `without` have no embedding."""
    id = make(database, **{"layers": LAYER, "units": units, "visibility": "public", **asked})
    carry_out(database, id)
    finish(database, without)
    return id


def finish(database: Database, without: tuple[int, ...] = ()) -> None:
    """Do what a worker does with all that waits."""
    vectors = {
        unit: direction(str(unit), 0.03, direction(f"kind {kind_of(unit)}"))
        for unit in range(400)
        if unit not in without
    }
    said: Mapping[int, list[Any]] = {unit: [[kind_of(unit), 0.9], [9, 0.1]] for unit in range(400)}
    work_off(database, vectors, said)


def worker(database: Database, store: ObjectStore, settings: Settings) -> Maps:
    stop = StopFlag()
    return Maps(HeldLeases(database, settings, "tester", stop), store, settings, stop)


def shown(database: Database, id: str, version: str = "open", *, asked: bool = False) -> ShownMap:
    with database.session() as session:
        return maps.find(session, id, version, asked=asked)


@dataclass(frozen=True)
class Points:
    """A file of points, read as its documentation says."""

    x: "array[float]"
    y: "array[float]"
    units: "array[int]"
    layers: "array[int]"

    @classmethod
    def read(cls, data: bytes) -> "Points":
        magic, version, count = struct.unpack_from("<8sII", data)
        assert (magic, version) == (b"imagomap", 1)
        assert len(data) == 16 + 14 * count
        x, y, units, layers = (data[16 + count * at :] for at in (0, 4, 8, 12))
        return cls(
            array("f", x[: 4 * count]),
            array("f", y[: 4 * count]),
            array("I", units[: 4 * count]),
            array("H", layers[: 2 * count]),
        )
