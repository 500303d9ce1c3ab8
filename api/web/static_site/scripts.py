"""What the search, the grids and the map of a static site read. All of it is scripts, since pages that are
opened from a file may fetch nothing; and in parts, of which a page loads those that it needs."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.web.grid_view import said_of
from api.web.static_site.labels import Hit
from api.web.static_site.units import UnitPictures
from services.grids import cells
from services.grids.cells import Cell
from services.grids.orders import By
from services.maps.maps import Map

LAYERS, CLASSES, POINTS = "index/layers.js", "index/classes.js", "index/map.js"
PART = cells.MOST
"""Units of a part of the index."""
_LABELS_TOLD, _SEEN = 3, 0.01


@dataclass
class LayerIndex:
    """A layer with its parts of the index: the number of the first one, and the first unit of each. `small`:
    whether its pictures have few pixels."""

    name: str
    folder: str
    first: int
    starts: list[int] = field(default_factory=list)
    small: bool = False


def part(number: int) -> str:
    """Where a part of the index lies."""
    return f"index/{number}.js"


def index_part(number: int, units: Sequence[UnitPictures], found: Sequence[Cell]) -> str:
    """Of each unit its number, name, picture, [class, thousandths] of what its network sees, activation,
    percentile, both of these as they are shown, its state and whether no photograph excites it. `found`:
    their cells."""
    return f"imagoIndex.add({_json([number, list(map(_row, units, found))])});\n"


def _row(unit: UnitPictures, cell: Cell) -> list[Any]:
    seen = (unit.large.predictions or ())[:_LABELS_TOLD]
    told = [
        [index, round(1000 * share)] for at, (index, share) in enumerate(seen) if not at or share >= _SEEN
    ]
    return [
        unit.unit,
        unit.label,
        unit.digest,
        told,
        _short(cell.activation),
        _short(cell.percentile),
        said_of(cell, By.ACTIVATION),
        said_of(cell, By.PERCENTILE),
        None if cell.state is None else str(cell.state),
        int(bool(cell.dead)),
    ]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def layers(found: Sequence[LayerIndex]) -> str:
    """The layers, and where what is known of their units lies."""
    rows = [[each.name, each.folder, each.first, each.starts, each.small] for each in found]
    return f"imagoIndex.layers = {_json(rows)};\n"


def classes(names: Sequence[str], counts: Mapping[int, int], some: Sequence[int]) -> str:
    """The names of the classes, how many units say each, and some to begin with."""
    numbers = [counts.get(number, 0) for number in range(len(names))]
    return (
        f"imagoIndex.classes = {_json(names)};\n"
        f"imagoIndex.counts = {_json(numbers)};\n"
        f"imagoIndex.some = {_json(some)};\n"
    )


def label(number: int) -> str:
    """Where it is told which units say a class."""
    return f"index/labels/{number}.js"


def said(number: int, hits: Sequence[Hit]) -> str:
    """The units that say a class: of each the number of its layer, its own, its picture and its weight."""
    rows = [[hit.layer, hit.unit, hit.digest, hit.weight] for hit in hits]
    return f"imagoIndex.say({_json([number, rows])});\n"


def map_of(found: Map, points: bytes) -> str:
    """The points of the map, and what its regions are called."""
    told: Mapping[str, Any] = {
        "layers": list(found.layers),
        "labels": found.labels,
        "points": base64.b64encode(points).decode("ascii"),
    }
    return f"globalThis.imagoMap = {_json(told)};\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
