"""Read what a version of an atlas shows into files: the embedding of each unit, its place, and its label.

Read in pages and written at once, so that memory does not grow with the atlas. The first facet of a unit that
is done stands for it.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from imago_engine.canonical import canonical_json
from imago_engine.weights import DIMENSIONS, EYE
from services.base.database import Database
from services.search.labels import CLEAR
from services.sheets.making import Wanted
from worker.maps.files import LABELS, LAYERS, SAID, UNITS, VECTORS, Names

VERSION = 1
"""Part of what names a map: raise it when maps are drawn in another way."""
_AT_ONCE = 2_000
_HEADER_BYTES = 4  # of a halfvec as PostgreSQL sends it, before its big-endian numbers
_PAGE = text("""
    SELECT e.unit, e.facet, e.digest, halfvec_send(m.vector) AS vector, s.label
    FROM atlas_entries e JOIN visualizations v ON v.digest = e.digest
    LEFT JOIN embeddings m ON m.digest = e.digest AND m.eye = :eye
    LEFT JOIN picture_labels s ON s.digest = e.digest AND s.rank = 1 AND s.probability >= :clear
    WHERE e.atlas_no = :no AND e.layer_no = :layer AND (e.unit, e.facet) > (:unit, :facet)
    AND e.since <= :number AND (e.until IS NULL OR e.until > :number) AND v.state = 'done'
    ORDER BY e.unit, e.facet LIMIT :most
""")


@dataclass(frozen=True)
class Gathered:
    """`name` follows from all that was read. `unseen`: units with pictures of which none has an embedding."""

    name: str
    units: int
    unseen: int
    layers: list[str]


def gather(database: Database, asked: Wanted, folder: Path, check: Callable[[], None]) -> Gathered:
    """Write the files that `worker.maps.projection` reads. `check` may raise, and is called often."""
    layers = [name for _, name in asked.layers]
    hashed = hashlib.sha256(canonical_json({"version": VERSION, "eye": EYE, "layers": layers}).encode())
    labels: dict[str, int] = {}
    units = unseen = 0
    with (
        (folder / VECTORS).open("wb") as vectors,
        (folder / LAYERS).open("wb") as of_layers,
        (folder / UNITS).open("wb") as of_units,
        (folder / SAID).open("wb") as said,
    ):
        for ordinal, (layer_no, _) in enumerate(asked.layers):
            rows = _rows(database, asked.atlas_no, asked.number, layer_no, check)
            for unit, facets in groupby(rows, lambda row: row.unit):
                row = next((row for row in facets if row.vector is not None), None)
                if row is None:
                    unseen += 1
                    continue
                units += 1
                label = -1 if row.label is None else labels.setdefault(row.label, len(labels))
                vectors.write(_vector(row.vector))
                of_layers.write(struct.pack("<H", ordinal))
                of_units.write(struct.pack("<I", unit))
                said.write(struct.pack("<i", label))
                hashed.update(struct.pack("<HIi", ordinal, unit, label) + bytes.fromhex(row.digest))
    names: Names = {"layers": layers, "labels": list(labels)}
    (folder / LABELS).write_text(json.dumps(names))
    hashed.update(canonical_json({"labels": list(labels)}).encode())
    return Gathered(hashed.hexdigest(), units, unseen, layers)


def _rows(
    database: Database, atlas_no: int, number: int, layer_no: int, check: Callable[[], None]
) -> Iterator[Any]:
    at = {"no": atlas_no, "number": number, "layer": layer_no, "most": _AT_ONCE, "eye": EYE, "clear": CLEAR}
    unit, facet, more = -1, -1, True
    while more:
        check()
        with database.session() as session:
            rows = session.execute(_PAGE, {**at, "unit": unit, "facet": facet}).all()
        yield from rows
        more = len(rows) == _AT_ONCE
        if rows:
            unit, facet = rows[-1].unit, rows[-1].facet


def _vector(sent: bytes) -> bytes:
    """As little-endian halves."""
    numbers = np.frombuffer(sent, dtype=">f2", offset=_HEADER_BYTES)
    if len(numbers) != DIMENSIONS:
        raise ValueError(f"an embedding of {len(numbers)} numbers, not {DIMENSIONS}")
    return numbers.astype("<f2").tobytes()
