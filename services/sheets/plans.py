"""What a sheet shows: its layout, the digest of each cell's picture, and the name that follows from these."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from imago_engine.canonical import canonical_json
from services.base.database import Database
from services.sheets.layout import CELL, TILE, VERSION, Layout, Strip

DIGEST_BYTES = 32
NOTHING = bytes(DIGEST_BYTES)
"""Stands for a cell without a picture."""
_AT_ONCE = 20_000
_PAGE = text("""
    SELECT e.unit, e.facet, CASE WHEN v.state = 'done' THEN e.digest END AS digest
    FROM atlas_entries e JOIN visualizations v ON v.digest = e.digest
    WHERE e.atlas_no = :no AND e.layer_no = :layer AND (e.unit, e.facet) > (:unit, :facet)
    AND e.since <= :number AND (e.until IS NULL OR e.until > :number)
    ORDER BY e.unit, e.facet LIMIT :most
""")


@dataclass(frozen=True)
class SheetPlan:
    """`digests` are 32 bytes a cell, in the order of the cells: a million units are 32 MB."""

    layout: Layout
    digests: bytes

    @property
    def name(self) -> str:
        """64 hex digits."""
        shown = {
            "version": VERSION,
            "cell": CELL,
            "tile": TILE,
            "columns": self.layout.columns,
            "strips": [[strip.title, strip.cells] for strip in self.layout.strips],
        }
        return hashlib.sha256(canonical_json(shown).encode() + b"\n" + self.digests).hexdigest()

    def digest_of(self, cell: int) -> str | None:
        """Of the picture in a cell; None where none is shown."""
        found = self.digests[cell * DIGEST_BYTES : (cell + 1) * DIGEST_BYTES]
        return None if found == NOTHING else found.hex()


def read(
    database: Database, atlas_no: int, shows: int, layers: Sequence[tuple[int, str]], *, poster: bool
) -> SheetPlan | None:
    """What a version, read as `shows` in its row, has of these layers (number and name): of each unit the
    first facet that is done.

    Read little by little, in transactions of their own. None where no picture is done.
    """
    digests, strips = bytearray(), []
    for layer_no, name in layers:
        before = len(digests)
        for digest in _layer(database, atlas_no, shows, layer_no):
            digests += digest
        cells = (len(digests) - before) // DIGEST_BYTES
        if cells:
            strips.append(Strip(name if poster else "", cells))
    found = bytes(digests)
    if not found.strip(b"\0"):
        return None
    return SheetPlan(Layout.of_poster(strips) if poster else Layout.of_layer(strips[0].cells), found)


def _layer(database: Database, atlas_no: int, shows: int, layer_no: int) -> Iterator[bytes]:
    """The digest of each unit in turn."""
    at = {"no": atlas_no, "number": shows, "layer": layer_no, "most": _AT_ONCE}
    unit, facet, chosen, more = -1, -1, NOTHING, True
    while more:
        with database.session() as session:
            rows = session.execute(_PAGE, {**at, "unit": unit, "facet": facet}).all()
        for row in rows:
            if row.unit != unit and unit >= 0:
                yield chosen
                chosen = NOTHING
            if row.digest is not None and chosen == NOTHING:
                chosen = bytes.fromhex(row.digest)
            unit, facet = row.unit, row.facet
        more = len(rows) == _AT_ONCE
    if unit >= 0:
        yield chosen
