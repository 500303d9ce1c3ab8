"""The lines of an exported atlas, what they say of each picture, and the rows of its table.

The client, which stands alone, writes the same (`imago.exports.layout`, `.tables`); a test compares the two,
byte by byte.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from imago_engine.artifacts import ArtifactKind
from imago_engine.objectives import Objective, TokenObjective
from imago_engine.specs import Recipe
from services.base.errors import NotFound
from services.base.states import State
from services.base.storage import sha256_of_key
from services.exports.version_entries import Entry
from services.pictures.artifacts import StoredArtifact
from services.pictures.visualizations import Visualization

MANIFEST, UNITS, TABLE, SUMS = "atlas.json", "units.jsonl", "metadata.jsonl", "SHA256SUMS"
COLUMNS = (
    *("file_name", "network", "layer", "unit", "facet"),
    *("label", "digest", "state", "technique", "recipe", "generator", "engine", "sha256"),
    *("seed", "token", "width", "height", "bytes", "activation", "score", "crop_box", "predictions"),
)
PLACE_COLUMNS = ("projection_x", "projection_y")
PlaceOf = Callable[[str, int], tuple[float, float] | None]
"""Where a map shows a unit of a layer; None where it does not."""


def line_of(entry: Entry, class_labels: Sequence[str]) -> dict[str, Any]:
    """What units.jsonl says of an entry. Raises `NotFound` for one that is done and has no picture."""
    found, spec, objective = entry.visualization, entry.visualization.spec, entry.visualization.objective
    line: dict[str, Any] = {
        "file_name": None,
        "network": spec.network,
        "network_sha256": spec.network_sha256,
        "layer": objective.layer,
        "unit": objective.unit,
        "label": found.label,
        "digest": found.digest,
        "state": str(found.state),
        "activation": found.activation,
        "score": found.score,
        "predictions": _predictions(found, class_labels),
        "crop_box": _listed(found.crop_box),
        **_place(objective),
        "seed": spec.seed,
        "generator": found.generator,
        "generator_sha256": spec.source,
        "engine": spec.version,
        "error": _error(found.error),
        "provenance": None if found.provenance is None else dict(found.provenance),
        "created_at": moment(found.created_at),
        "finished_at": moment(found.finished_at),
        "facet": entry.facet,
        "technique": spec.technique,
        "recipe": Recipe(spec.technique, spec.parameters).digest,
    }
    return line | _file(entry) if found.state == State.DONE else line


def picture_of(entry: Entry) -> StoredArtifact:
    """The picture of an entry that is done. Raises `NotFound`."""
    found = entry.visualization.artifacts.get(ArtifactKind.IMAGE)
    if found is None:
        raise NotFound("picture", entry.visualization.digest, "It is said to be done.")
    return found


def row_of(line: Mapping[str, Any], place_of: PlaceOf | None = None) -> dict[str, Any]:
    """The row of the table of a line that has a file; with two more columns if there is a map."""
    row = {name: line[name] for name in COLUMNS}
    if place_of is None:
        return row
    place = place_of(line["layer"], line["unit"]) or (None, None)
    return row | dict(zip(PLACE_COLUMNS, place, strict=True))


def encoded(line: Mapping[str, Any]) -> bytes:
    """A line of JSON."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def moment(when: datetime | None) -> str | None:
    """A time in UTC, as the API says it."""
    return None if when is None else when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _file(entry: Entry) -> dict[str, Any]:
    found, objective = picture_of(entry), entry.visualization.objective
    sha256 = sha256_of_key(found.object)
    return {
        "file_name": _file_name(objective.layer, objective.unit, entry.facet),
        "source_sha256": sha256,
        "sha256": sha256,
        "bytes": found.bytes,
        "width": found.width,
        "height": found.height,
        "media_type": found.media_type,
    }


def _file_name(layer: str, unit: int, facet: int) -> str:
    """Its name has one dot, and its folder is one for any name of a layer."""
    folder = quote(layer, safe="")
    return f"images/{'%2E' + folder[1:] if folder.startswith('.') else folder}/{unit:05d}-{facet}.png"


def _place(objective: Objective) -> dict[str, Any]:
    if isinstance(objective, TokenObjective):
        return {"position": None, "token": objective.token}
    return {"position": _listed(objective.position), "token": None}


def _predictions(found: Visualization, class_labels: Sequence[str]) -> list[dict[str, Any]] | None:
    if found.predictions is None:
        return None
    return [
        {
            "index": index,
            "label": class_labels[index] if index < len(class_labels) else None,
            "probability": probability,
        }
        for index, probability in found.predictions
    ]


def _error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    retryable = bool(error.get("retryable", False))
    return {"code": error["code"], "message": error["message"], "retryable": retryable}


def _listed(numbers: Sequence[int] | None) -> list[int] | None:
    return None if numbers is None else [*numbers]
