"""What workers do to a comparison, step by step while the chore of it is theirs: each step is a transaction
that moves on what it has done, so that whoever is killed loses one at most."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased

from imago_engine.weights import EYE
from services.atlases.tables import AtlasEntryRow, AtlasRow
from services.base.states import State
from services.comparison import figures, removal
from services.comparison.tables import ComparedLayerRow, ComparedUnitRow, ComparisonRow
from services.exemplars import percentiles
from services.pictures.best import BEST_FIRST
from services.pictures.losses import Subject
from services.pictures.tables import VisualizationRow
from services.queue import chores
from services.queue.chores import ChoreName
from services.search.changes import most_changed_first, paired
from services.search.tables import EmbeddingRow, PictureLabelRow
from services.upkeep import collected

COMPARE: ChoreName = "compare"
UNITS_OF_A_STEP = 1000
SHOWN_PAIRS = 48
"""Pairs that the picture of a layer shows, the most changed."""


@dataclass(frozen=True)
class Pair:
    """A unit and the digests of its pictures in both."""

    unit: int
    distance: float
    a: str
    b: str


@dataclass(frozen=True)
class Pairs:
    """The most changed units of a layer, of which a picture is to be drawn."""

    comparison: int
    ordinal: int
    pairs: Sequence[Pair]


@dataclass(frozen=True)
class Step:
    """What came of a step: whether nothing is left, or what is to be drawn next."""

    is_last: bool = False
    draw: Pairs | None = None


def step(session: Session, no: int) -> Step:
    """Do the next thing, in the caller's transaction."""
    locking = sa.select(ComparisonRow).where(ComparisonRow.no == no).with_for_update()
    row = session.scalars(locking.execution_options(populate_existing=True)).first()
    if row is None:
        return Step(is_last=True)
    layer = session.scalars(
        sa.select(ComparedLayerRow)
        .where(ComparedLayerRow.comparison == no, ComparedLayerRow.sheet_object.is_(None))
        .where(
            sa.or_(
                ComparedLayerRow.figures.is_(None),
                ComparedLayerRow.figures["matched"].as_integer() > 0,
            )
        )
        .order_by(ComparedLayerRow.ordinal)
        .limit(1)
    ).first()
    if layer is None:
        if row.made_at is None:
            row.made_at = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            session.flush()
        return Step(is_last=not removal.remove_some(session, removal.obsolete(row), waiting=False))
    if layer.seen < layer.unit_count:
        _look(session, row, layer)
    elif layer.figures is None:
        layer.figures = figures.of_layer(session, no, layer.ordinal)
    else:
        return Step(draw=Pairs(no, layer.ordinal, most_changed(session, no, layer.ordinal)))
    session.flush()
    return Step()


def add_sheet(session: Session, drawn: Pairs, key: str) -> None:
    """Note the picture of a layer's pairs, which was put a moment ago. Raises `Unavailable` where it may be
    gone again."""
    collected.guard(session, [key])
    session.execute(
        sa.update(ComparedLayerRow)
        .where(ComparedLayerRow.comparison == drawn.comparison, ComparedLayerRow.ordinal == drawn.ordinal)
        .values(sheet_object=key)
    )


def make_again(session: Session, lost: Subject) -> None:
    """Have the picture of a layer's pairs drawn again, which the store has lost."""
    no, _, ordinal = lost.id.partition("/")
    session.execute(
        sa.update(ComparedLayerRow)
        .where(ComparedLayerRow.comparison == int(no), ComparedLayerRow.ordinal == int(ordinal))
        .values(sheet_object=None)
    )
    chores.hasten(session, COMPARE, no)


def most_changed(session: Session, no: int, ordinal: int) -> list[Pair]:
    """The pairs that a picture shows: those that changed at all, or some where none did."""
    row = ComparedUnitRow
    query = sa.select(row).where(row.comparison == no, row.layer == ordinal)
    found = session.scalars(most_changed_first(query, row.distance, row.unit, None, SHOWN_PAIRS))
    return [Pair(unit.unit, unit.distance, unit.a_digest.hex(), unit.b_digest.hex()) for unit in found]


def _look(session: Session, row: ComparisonRow, layer: ComparedLayerRow) -> None:
    """Compare the next units of a layer."""
    until = min(layer.seen + UNITS_OF_A_STEP, layer.unit_count)
    found = session.execute(_pairs(row, layer, layer.seen, until)).all()
    layer.only_a += sum(pair.other_digest is None for pair in found)
    layer.only_b += sum(pair.digest is None for pair in found)
    both = [pair for pair in found if pair.digest is not None and pair.other_digest is not None]
    indexed = [pair for pair in both if pair.distance is not None and not math.isnan(pair.distance)]
    layer.not_indexed += len(both) - len(indexed)
    known = _percentiles(session, row, indexed)
    rows = [
        {
            "comparison": row.no,
            "layer": layer.ordinal,
            "unit": pair.unit,
            # The same picture is at no distance from itself, whatever halves of numbers make of it.
            "distance": 0.0 if pair.digest == pair.other_digest else max(0.0, pair.distance),
            "a_digest": bytes.fromhex(pair.digest),
            "b_digest": bytes.fromhex(pair.other_digest),
            "a_activation": pair.activation,
            "b_activation": pair.other_activation,
            "a_percentile": known.get(pair.digest),
            "b_percentile": known.get(pair.other_digest),
            "same_label": pair.same_label,
        }
        for pair in indexed
    ]
    if rows:
        session.execute(sa.insert(ComparedUnitRow), rows)
    layer.seen = until


def _percentiles(session: Session, row: ComparisonRow, pairs: Sequence[Any]) -> dict[str, float]:
    numbers = (row.a_no, row.b_no)
    networks = session.scalars(sa.select(AtlasRow.network_id).where(AtlasRow.no.in_(numbers))).all()
    if not percentiles.any_scan(session, networks):
        return {}
    return percentiles.of_pictures(
        session, {digest for pair in pairs for digest in (pair.digest, pair.other_digest)}
    )


def _pairs(
    row: ComparisonRow, layer: ComparedLayerRow, since: int, until: int
) -> sa.Select[*tuple[Any, ...]]:
    """Units from `since` up to and without `until`, with their pictures in both, and whether the networks
    see the same in them."""
    ours = _best(row.a_no, row.a_number, layer.a_layer_no, since, until).subquery()
    theirs = _best(row.b_no, row.b_number, layer.b_layer_no, since, until).subquery()
    pairs = paired(ours, theirs, full=True).subquery()
    seen, other = aliased(PictureLabelRow), aliased(PictureLabelRow)
    return (
        sa.select(pairs, (seen.label == other.label).label("same_label"))
        .join(seen, sa.and_(seen.digest == pairs.c.digest, seen.rank == 1), isouter=True)
        .join(other, sa.and_(other.digest == pairs.c.other_digest, other.rank == 1), isouter=True)
    )


def _best(atlas_no: int, number: int, layer_no: int, since: int, until: int) -> sa.Select[*tuple[Any, ...]]:
    """Of each unit its best picture in a version, one that is indexed if there is any."""
    row, picture, seen = AtlasEntryRow, VisualizationRow, EmbeddingRow
    return (
        sa.select(row.unit, row.digest, seen.vector, picture.activation)
        .join(picture, picture.digest == row.digest)
        .join(seen, sa.and_(seen.digest == row.digest, seen.eye == EYE), isouter=True)
        .where(row.atlas_no == atlas_no, row.layer_no == layer_no, row.unit >= since, row.unit < until)
        .where(row.since <= number, sa.or_(row.until.is_(None), row.until > number))
        .where(picture.state == State.DONE)
        .ext(distinct_on(row.unit))
        .order_by(row.unit, seen.digest.is_(None), *BEST_FIRST)
    )
