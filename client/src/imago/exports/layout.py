"""What an exported atlas consists of, and what its lines say.

    atlas.json         the manifest: version, layers, recipes, generators, network; written last
    units.jsonl        one line for each picture, or why there is none; layer by layer, unit by unit
    metadata.parquet   the same of those that have a picture: what dataset libraries read (or metadata.jsonl);
                       with projection_x and projection_y where the version has a map
    SHA256SUMS         of every picture, and of the files above but for the manifest
    images/LAYER/UNIT-FACET.png

`imago.open` reads units.jsonl, which needs no library, and which tools that look for `metadata.*` pass over:
they take no two of these in one tree, and no line without a file name.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from imago.records import Raw
from imago.transport import Json, path_to

FORMAT, FORMAT_VERSION = "imago-atlas", 1
MANIFEST, UNITS, SUMS = "atlas.json", "units.jsonl", "SHA256SUMS"
PARQUET, JSONL = "metadata.parquet", "metadata.jsonl"
IMAGES = "images"
SUFFIXES = {"image/png": "png", "image/webp": "webp"}

_SAME = (
    "network", "network_sha256", "layer", "unit", "label", "digest", "state", "activation", "score",
    "predictions", "crop_box", "position", "token", "seed", "generator", "generator_sha256", "engine",
    "error", "provenance", "created_at", "finished_at",
)  # fmt: skip
"""What a line says as the server does of a visualization."""
FACTS = ("file_name", "facet", "recipe", *_SAME)
"""What every line says."""


def file_of(layer: str, unit: int, facet: int, suffix: str) -> str:
    """Where a picture lies. Its name has one dot, and its folder is one for any name of a layer."""
    folder = quote(layer, safe="")
    return f"{IMAGES}/{'%2E' + folder[1:] if folder.startswith('.') else folder}/{unit:05d}-{facet}.{suffix}"


def line_of(entry: Raw) -> Json:
    """The line of an entry of the server's, but for what is said of its file."""
    shown = entry["visualization"]
    return {
        "file_name": None,
        **{name: shown[name] for name in _SAME},
        "provenance": _elsewhere(shown["provenance"]),
        "facet": entry["facet"],
        "technique": shown["recipe"]["technique"],
        "recipe": entry["recipe_digest"],
    }


def _elsewhere(provenance: Raw | None) -> Json | None:
    """Without what tells of the server's own machines."""
    if provenance is None:
        return None
    return {name: value for name, value in provenance.items() if name not in ("worker", "lease")}


def detail_of(line: Raw, recipes: Mapping[str, Raw]) -> Json:
    """The visualization of a line as a server shows it."""
    path = path_to("visualizations", line["digest"])
    there = line["file_name"] is not None
    image = {name: line[name] for name in ("width", "height", "bytes", "sha256")} if there else None
    crop = f"{path}/image?view=crop" if there and line["crop_box"] else None
    return {
        "id": line["digest"],
        "object": "visualization",
        **{name: line[name] for name in _SAME},
        "recipe": recipes[line["recipe"]],
        "image": image,
        "links": {"self": path, "image": f"{path}/image" if there else None, "crop": crop},
    }


def facet_of(line: Raw) -> Json:
    """The facet of a unit as a server shows it."""
    path = path_to("visualizations", line["digest"])
    image = f"{path}/image" if line["file_name"] else None
    kept = {name: line[name] for name in ("facet", "digest", "state", "activation", "error")}
    return {**kept, "links": {"self": path, "image": image}}


def encoded(line: Any) -> bytes:
    """A line of JSON."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
