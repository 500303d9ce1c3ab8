"""What the search and the map of a static site read. All of it is scripts: pages that are opened from a file
may fetch nothing."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from api.web.pages.units.figures import is_small_picture
from api.web.static_site.units import UnitPictures
from services.maps.maps import Map

CLASSES, POINTS = "index/classes.js", "index/map.js"
_LABELS_FOUND, _SEEN = 3, 0.01


def part(number: int) -> str:
    """Where a part of the index lies."""
    return f"index/{number}.js"


def index_part(layer: str, folder: str, units: Sequence[UnitPictures]) -> str:
    """Of each unit its number, name, picture and [class, thousandths] of what its network sees; before them
    whether the pictures are small."""
    rows = [
        [
            unit.unit,
            unit.label,
            unit.large.digest if unit.is_there else None,
            [
                [index, round(1000 * share)]
                for index, share in (unit.large.predictions or ())[:_LABELS_FOUND]
                if share >= _SEEN
            ],
        ]
        for unit in units
    ]
    small = any(unit.is_there and is_small_picture(unit.large) for unit in units)
    return f"imagoIndex.add({_json([layer, folder, rows, small])});\n"


def classes(names: Sequence[str]) -> str:
    """The names of the classes that the index is about."""
    return f"imagoIndex.classes = {_json(names)};\n"


def map_of(found: Map, points: bytes, parts: Sequence[tuple[str, int]]) -> str:
    """The points of the map, what its regions are called, and of each part of the index its layer and first
    unit."""
    told: Mapping[str, Any] = {
        "layers": list(found.layers),
        "labels": found.labels,
        "parts": parts,
        "points": base64.b64encode(points).decode("ascii"),
    }
    return f"globalThis.imagoMap = {_json(told)};\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
