"""What it takes to compare the atlas of `benchmarks.atlas` with another one that shows other pictures."""

import time
from collections.abc import Mapping

import psutil
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database
from services.base.ids import new_id
from services.comparison import comparisons, making

_COPY = (
    """
    INSERT INTO atlases (id, name, network_id, visibility, request_hash)
    SELECT :copy, name, network_id, visibility, :copy FROM atlases WHERE id = :atlas
    """,
    """
    INSERT INTO atlas_versions (atlas_no, number, request, network_sha256, generator_id, layers, published_at)
    SELECT b.no, number, request, network_sha256, generator_id, layers, published_at
    FROM atlas_versions v JOIN atlases a ON a.no = v.atlas_no JOIN atlases b ON b.id = :copy
    WHERE a.id = :atlas
    """,
    """
    INSERT INTO atlas_layers (atlas_no, layer_no, layer, ordinal, units, unit_count, facets, making, expanded)
    SELECT b.no, layer_no, layer, ordinal, units, unit_count, facets, making, expanded
    FROM atlas_layers l JOIN atlases a ON a.no = l.atlas_no JOIN atlases b ON b.id = :copy WHERE a.id = :atlas
    """,
)
# Each unit shows the picture of the next one.
_ENTRIES = text("""
    INSERT INTO atlas_entries (atlas_no, layer_no, unit, facet, since, digest)
    SELECT b.no, layer_no, (unit + 1) % (max(unit) OVER () + 1), facet, since, digest
    FROM atlas_entries e JOIN atlases a ON a.no = e.atlas_no JOIN atlases b ON b.id = :copy
    WHERE a.id = :atlas AND layer_no = :layer
""")
_LAYERS = text("SELECT layer_no FROM atlas_layers JOIN atlases ON no = atlas_no WHERE id = :atlas")
_NO_PICTURE = "sheets/00/none.jpg"
"""Instead of that of the most changed pairs, which costs the same whatever the number of units."""


def copied(database: Database, atlas: str) -> str:
    """Another atlas with as many entries, whose pictures are others; its id."""
    copy = new_id("atl")
    with database.session() as session:
        names = {"atlas": atlas, "copy": copy}
        for statement in _COPY:
            session.execute(text(statement), names)
        layers = list(session.scalars(_LAYERS, {"atlas": atlas}))
    for layer in layers:
        with database.session() as session:
            session.execute(_ENTRIES, {**names, "layer": layer})
    return copy


def compared(database: Database, atlas: str, other: str) -> Mapping[str, float]:
    """Compare them to the end, as workers do: seconds, those of the longest transaction, and by how much
    memory of the process grew."""
    own, longest = psutil.Process(), 0.0
    before, began = own.memory_info().rss, time.monotonic()
    with database.session() as session:
        no = comparisons.find(session, f"{atlas}@1", f"{other}@1").no
    goes_on = True
    while goes_on:
        at = time.monotonic()
        with database.session() as session:
            goes_on = _step(session, no)
        longest = max(longest, time.monotonic() - at)
    return {
        "compare_s": round(time.monotonic() - began, 1),
        "compare_transaction_s": round(longest, 2),
        "compare_grown_mb": round((own.memory_info().rss - before) / 2**20),
    }


def _step(session: Session, no: int) -> bool:
    done = making.step(session, no)
    if done.draw is not None:
        making.add_sheet(session, done.draw, _NO_PICTURE)
    return not done.is_last
