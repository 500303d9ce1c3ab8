"""Read comparisons of two versions of atlases that a reader sees; have them made, or made anew.

A comparison is rows of its own, made by workers. It is asked for by its two versions; what it follows from is
hashed, and another one is made when that changes, while the former is shown.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from imago_engine.canonical import canonical_json
from imago_engine.weights import EYE
from services.access.keys import Principal
from services.base.errors import Full, NotFound
from services.base.states import Visibility
from services.comparison.making import COMPARE
from services.comparison.sides import Side, like_layers, resolve
from services.comparison.tables import ComparedLayerRow, ComparisonRow
from services.queue import chores
from services.search import indexing
from services.sheets.sheets import pictures_of
from services.sheets.subjects import POSTER

VERSION = 1
"""Part of what a comparison follows from: raise it when comparisons are made in another way."""
AGAIN_SECONDS = 60.0
"""How long a comparison of an open version is good enough at least."""
MOST_WAITING = 50
"""Comparisons that wait for workers at the same time, of all who ask: reading needs no key, and pairs are as
many as the square of versions."""
_NEWEST_SCAN = text("""
    SELECT max(no) FROM scans
    WHERE network_id = :network AND network_sha256 = :sha256 AND state = 'succeeded'
""")
_UNDECIDED = text("SELECT count(*) FROM jobs WHERE atlas_no = :no AND undecided")
_ASKED = text("""
    UPDATE comparisons SET asked_at = now() WHERE no = :no AND asked_at < now() - interval '5 minutes'
""")


@dataclass(frozen=True)
class ComparedSide:
    """A version of an atlas, as it is shown beside another."""

    atlas: str
    name: str
    network: str
    number: int
    published: bool
    public: bool


@dataclass(frozen=True)
class ComparedLayer:
    """A layer of both. `figures` (`services.comparison.figures`) are None until all its units were
    compared."""

    ordinal: int
    layer: str
    other_layer: str
    unit_count: int
    seen: int
    only_a: int
    only_b: int
    not_indexed: int
    figures: Mapping[str, Any] | None
    sheet_object: str | None


@dataclass(frozen=True)
class Comparison:
    """As it stands. `made_at` is None while the first one is being made; `current`: nothing is left to make.
    `coming`: workers are at it, or will be. `seen` of `units` were looked at by the one that is being made.
    `problem`: why a worker could not go on, the last time."""

    no: int
    a: ComparedSide
    b: ComparedSide
    current: bool
    coming: bool
    made_at: datetime | None
    seen: int
    units: int
    layers: Sequence[ComparedLayer]
    unmatched: Sequence[Mapping[str, Any]]
    problem: str | None

    @property
    def settled(self) -> bool:
        """Whether it stays as it is, as far as pictures go."""
        return self.current and self.a.published and self.b.published

    def layer(self, name: str) -> ComparedLayer:
        """A layer by its name in a, or else in b. Raises `NotFound`."""
        for found in (*self.layers,):
            if found.layer == name:
                return found
        for found in self.layers:
            if found.other_layer == name:
                return found
        names = ", ".join(found.layer for found in self.layers[:8])
        raise NotFound("layer", name, f"Both have: {names}." if names else "They have no layer in common.")


def find(
    session: Session, a: str, b: str, *, by: Principal | None = None, planning: bool = True
) -> Comparison:
    """The comparison of two versions, named as `sides.resolve` says and raises; with `planning`, planned
    where it is not there or not up to date.

    Where too many wait, one that is there is shown as it is, and for another one `Full` is raised.
    """
    sides = resolve(session, a, b, by)
    basis = _basis(session, *sides)
    lacking = any(indexing.lacks(session, side.network) for side in sides)
    rows = _rows(session, *sides)
    newest = rows[0] if rows else None
    stale = newest is None or (
        newest.made_at is not None and (newest.basis != basis or (newest.lacking and not lacking))
    )
    if stale and planning and _has_room(session, newest):
        no = _begin(session, *sides, basis, lacking)
        # What is being built need not be followed picture by picture.
        chores.plan(session, COMPARE, str(no), after_seconds=AGAIN_SECONDS if newest else 0)
        rows = _rows(session, *sides)
    if not rows:
        shown = making = None
    else:
        making = rows[0]
        shown = next((row for row in rows if row.made_at is not None), making)
        session.execute(_ASKED, {"no": shown.no})
    layers = [] if shown is None else _layers(session, shown.no)
    of_making = layers if making is shown else _layers(session, making.no) if making else []
    current = shown is not None and shown is making and shown.made_at is not None and not stale
    outlook = None
    if making is not None and not current:
        outlook = chores.outlook(session, COMPARE, str(making.no))
    return Comparison(
        no=0 if shown is None else shown.no,
        a=_side(sides[0]),
        b=_side(sides[1]),
        current=current,
        coming=outlook is not None and outlook.coming,
        made_at=None if shown is None else shown.made_at,
        seen=sum(layer.seen for layer in of_making),
        units=sum(layer.unit_count for layer in of_making),
        layers=layers,
        unmatched=[] if shown is None else shown.unmatched,
        problem=None if outlook is None else outlook.problem,
    )


def _has_room(session: Session, former: ComparisonRow | None) -> bool:
    """Whether one more may wait. Raises `Full` where none may and there is no former one to show."""
    if chores.waiting(session, COMPARE, MOST_WAITING) < MOST_WAITING:
        return True
    if former is None:
        raise Full("queue of comparisons", advice="Ask again in a moment.")
    return False


def _basis(session: Session, a: Side, b: Side) -> str:
    """A hash of all that a comparison follows from."""
    stands = {"version": VERSION, "eye": EYE, "sides": [_stand(session, side) for side in (a, b)]}
    return hashlib.sha256(canonical_json(stands).encode()).hexdigest()


def _stand(session: Session, side: Side) -> list[Any]:
    weights = {"network": side.network, "sha256": side.version.network_sha256}
    return [_open_pictures(session, side), session.scalar(_NEWEST_SCAN, weights)]


def _open_pictures(session: Session, side: Side) -> list[int] | None:
    """What tells whether an open version shows the same as before."""
    if side.version.published_at is not None:
        return None
    undecided = session.scalar(_UNDECIDED, {"no": side.row.no})
    return [pictures_of(session, side.row, side.version, POSTER), int(undecided or 0)]


def _rows(session: Session, a: Side, b: Side) -> Sequence[ComparisonRow]:
    """The two newest comparisons of a pair: what is older is being removed."""
    row = ComparisonRow
    query = sa.select(row).where(
        row.a_no == a.row.no,
        row.a_number == a.version.number,
        row.b_no == b.row.no,
        row.b_number == b.version.number,
    )
    return session.scalars(query.order_by(row.no.desc()).limit(2)).all()


def _begin(session: Session, a: Side, b: Side, basis: str, lacking: bool) -> int:
    """A new comparison, or the one that somebody else has begun meanwhile."""
    both, unmatched = like_layers(session, a, b)
    pair = {
        "a_no": a.row.no,
        "a_number": a.version.number,
        "b_no": b.row.no,
        "b_number": b.version.number,
    }
    adding = (
        insert(ComparisonRow)
        .values({**pair, "basis": basis, "lacking": lacking, "unmatched": unmatched})
        .on_conflict_do_nothing()
        .returning(ComparisonRow.no)
    )
    no = session.scalar(adding)
    if no is None:
        return _rows(session, a, b)[0].no
    layers = [{"comparison": no, "ordinal": ordinal, **vars(layer)} for ordinal, layer in enumerate(both)]
    if layers:
        session.execute(sa.insert(ComparedLayerRow), layers)
    return no


def _layers(session: Session, no: int) -> list[ComparedLayer]:
    row = ComparedLayerRow
    fields: tuple[Any, ...] = (
        *(row.ordinal, row.layer, row.other_layer, row.unit_count, row.seen, row.only_a, row.only_b),
        *(row.not_indexed, row.figures, row.sheet_object),
    )
    query = sa.select(*fields).where(row.comparison == no).order_by(row.ordinal)
    return [ComparedLayer(*found) for found in session.execute(query)]


def _side(side: Side) -> ComparedSide:
    return ComparedSide(
        side.row.id,
        side.row.name,
        side.network,
        side.version.number,
        side.version.published_at is not None,
        side.row.visibility == Visibility.PUBLIC,
    )
