"""In which order a grid shows its units, and which of them: a list of numbers, however many there are.

The database sorts, and hands the numbers over as they are sent on: four bytes each. A layer of 100,000 units
takes some tenths of a second, so that such orders are kept (`kept_orders.py` beside it); larger ones are
shown by index alone, so that no request sorts a million rows.
"""

import sys
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.weights import EYE
from services.base.errors import Invalid
from services.grids.subjects import Subject
from services.pictures.best import BEST_FIRST_TEXT
from services.search import neighbours
from services.search.labels import meant_of
from services.search.tables import as_text

MOST_ORDERED = 200_000
"""Units of a layer that are ordered by what their pictures are."""
MOST_ORDERED_BEST = 20_000
"""The same where the best picture of each must first be found."""
MOST_COMPARED = 10_000
"""Units of a layer that are all compared with one that others are to be like; of larger ones the nearest
`neighbours.MOST` come first, which an index finds, and then the others by number."""


class By(StrEnum):
    """What units are ordered by."""

    INDEX = "index"
    ACTIVATION = "activation"
    PERCENTILE = "percentile"
    LABEL = "label"


class Kind(StrEnum):
    """What became of the picture of a unit. `dead`: no photograph of the newest scan excites the unit."""

    DONE = "done"
    WAITING = "waiting"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    DEAD = "dead"


@dataclass(frozen=True)
class Wanted:
    """`like` is a unit: those whose pictures look like its own come first, and `by` is not looked at. `label`
    leaves those that stand for a class, or whose pictures the network sees as it among others."""

    by: By = By.INDEX
    facet: int = 0
    kind: Kind | None = None
    label: str | None = None
    like: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is every unit by its number, which needs no look at any picture."""
        return self.by == By.INDEX and self.kind is None and self.label is None and self.like is None


# That the pictures are of the layer is certain, and said so that no other pictures need be looked at.
_ROWS_OF_VERSION = """
    SELECT e.unit, v.digest, v.state, v.activation, v.predictions
    FROM atlas_entries e JOIN visualizations v
        ON v.digest = e.digest AND v.network_id = :network AND v.layer = :layer
    WHERE e.atlas_no = :no AND e.layer_no = :layer_no AND e.facet = :facet
    AND e.since <= :number AND (e.until IS NULL OR e.until > :number)
"""
_ROWS_OF_BEST = f"""
    SELECT DISTINCT ON (unit) unit, digest, state, activation, predictions FROM visualizations
    WHERE network_id = :network AND layer = :layer AND network_sha256 = :sha256
    ORDER BY unit, state = 'done' DESC, {BEST_FIRST_TEXT}
"""
# Every unit that was chosen is in the grid, also one that has no row yet.
_ORDER = """
    SELECT coalesce(string_agg(int4send(asked.unit), '' ORDER BY {order} asked.unit), '') AS units
    FROM {asked} AS asked (unit)
    LEFT JOIN ({rows}) AS v ON v.unit = asked.unit {joins}
    WHERE {where}
"""
_STATISTICS = "LEFT JOIN unit_statistics s ON s.scan_no = :scan AND s.layer = :layer AND s.unit = asked.unit"
_COMPARED = (
    "LEFT JOIN unit_statistics p ON p.scan_no = :compared AND p.layer = :layer AND p.unit = asked.unit"
)
_SEEN = "CAST(v.predictions -> 0 ->> 0 AS int)"
# Where the activation stands among the quantiles, which are ascending: the bucket, and how far within it.
_PERCENTILE = """
    CASE WHEN v.activation <= q.least THEN 0 WHEN v.activation > q.most THEN 1000
    ELSE q.bucket + (v.activation - q.levels[q.bucket])
        / nullif(q.levels[q.bucket + 1] - q.levels[q.bucket], 0)
    END DESC NULLS LAST,
"""
_QUANTILES = """
    LEFT JOIN LATERAL (
        SELECT levels, levels[1] AS least, levels[cardinality(levels)] AS most,
            width_bucket(v.activation, levels) AS bucket
        FROM (SELECT CAST(coalesce(p.usual_quantiles, p.quantiles) AS float8[]) AS levels) AS of_unit
    ) AS q ON true
"""
# Of few classes found by the index of labels, which does not look at other pictures of the layer.
_SAYING = """
    AND ({own} v.digest IN (
        SELECT digest FROM picture_labels
        WHERE label = ANY(CAST(:labels AS text[])) AND network_id = :network AND layer = :layer
    ))
"""
_FEW_CLASSES = 8
_SAYS = """
    EXISTS (
        SELECT FROM jsonb_array_elements(v.predictions) AS said
        WHERE CAST(said ->> 0 AS int) = ANY(CAST(:classes AS int[]))
    )
"""
_WHERE = {
    Kind.DONE: "v.state = 'done'",
    Kind.WAITING: "(v.state IS NULL OR v.state IN ('queued', 'leased', 'canceled'))",
    Kind.FAILED: "v.state = 'failed'",
    Kind.UNREACHABLE: "v.state = 'unreachable'",
    Kind.DEAD: "s.non_zero = 0",
}


def can_order(subject: Subject) -> bool:
    """Whether the units can be ordered and chosen by what their pictures are."""
    most = MOST_ORDERED if subject.place else MOST_ORDERED_BEST
    return len(subject.units) <= most


def possible(subject: Subject) -> Collection[By]:
    """The orders that there are of the layer."""
    if not can_order(subject):
        return (By.INDEX,)
    compared = subject.watched is not None and subject.watched.compared is not None
    left_out = {*([] if compared else [By.PERCENTILE]), *([] if subject.classes else [By.LABEL])}
    return [by for by in By if by not in left_out]


def order(session: Session, subject: Subject, wanted: Wanted) -> Sequence[int]:
    """The units in the order wanted.

    Raises `Invalid` for a facet, an order or a choice that the layer does not have, `NotFound` for a label
    that no class has and for a unit without a picture, `NotIndexed` for one whose picture is not indexed.
    """
    if not 0 <= wanted.facet < subject.facets:
        raise Invalid.field("/facet", f"must be 0 to {subject.facets - 1}; got {wanted.facet}")
    if wanted.is_plain:
        return subject.units
    if not can_order(subject):
        most = MOST_ORDERED if subject.place else MOST_ORDERED_BEST
        raise Invalid.field(
            "/by", f"must be index: {len(subject.units)} units are more than the {most} that are ordered"
        )
    is_of_all = wanted.kind is None and wanted.label is None
    if wanted.like is not None and is_of_all and len(subject.units) > MOST_COMPARED:
        return _nearest_first(session, subject, wanted.like)
    return _read(session, subject, wanted)


def _nearest_first(session: Session, subject: Subject, like: int) -> Sequence[int]:
    found = neighbours.neighbours(
        session, subject.network.id, subject.layer.name, like, limit=neighbours.MOST
    )
    there = subject.units if isinstance(subject.units, range) else set(subject.units)
    first = [unit for unit in (like, *(near.unit for near in found.data)) if unit in there]
    moved = set(first)
    return array("I", [*first, *(unit for unit in subject.units if unit not in moved)])


def _read(session: Session, subject: Subject, wanted: Wanted) -> Sequence[int]:
    given: dict[str, Any] = {"layer": subject.layer.name}
    if len(subject.units) == subject.layer.units:
        asked, given["count"] = "generate_series(0, :count - 1)", subject.layer.units
    else:
        asked, given["units"] = "unnest(CAST(:units AS int[]))", list(subject.units)
    joins: list[str] = []
    where = ["true"]
    if place := subject.place:
        rows = _ROWS_OF_VERSION
        given |= {
            "network": subject.network.id,
            "no": place.atlas_no,
            "layer_no": place.layer_no,
            "number": place.number,
        }
        given |= {"facet": wanted.facet}
    else:
        rows = _ROWS_OF_BEST
        given |= {"network": subject.network.id, "sha256": subject.network.spec_sha256}
    watched = subject.watched
    if wanted.kind == Kind.DEAD:
        if watched is None:
            raise Invalid.field("/state", "needs a scan that watched the layer: POST /v1/scans")
        joins.append(_STATISTICS)
        given |= {"scan": watched.scan_no}
    if wanted.by == By.PERCENTILE and wanted.like is None:
        if watched is None or watched.compared is None:
            size = "whose input_size is that of these pictures"
            raise Invalid.field("/by", f"needs a scan that watched the layer, {size}: POST /v1/scans")
        joins.append(_COMPARED)
        given |= {"compared": watched.compared}
    if wanted.kind is not None:
        where.append(_WHERE[wanted.kind])
    if wanted.label is not None:
        classes, names = meant_of(subject.classes, wanted.label), subject.unit_names
        given |= {"classes": classes, "labels": [subject.classes[number] for number in classes]}
        own = "asked.unit = ANY(CAST(:classes AS int[])) OR" if names else ""
        if subject.place and len(classes) <= _FEW_CLASSES:
            rows += _SAYING.format(own="v.unit = ANY(CAST(:classes AS int[])) OR" if names else "")
            where.append(f"({own} v.unit IS NOT NULL)")
        else:
            where.append(f"({own} {_SAYS})")
    ordering = _ordering(session, subject, wanted, joins, given)
    statement = _ORDER.format(
        order=ordering, asked=asked, rows=rows, joins=" ".join(joins), where=" AND ".join(where)
    )
    return _numbers(session.execute(text(statement), given).scalar_one(), "big")


def _ordering(
    session: Session, subject: Subject, wanted: Wanted, joins: list[str], given: dict[str, Any]
) -> str:
    """What stands between ORDER BY and the number of the unit."""
    if wanted.like is not None:
        network, layer = subject.network.id, subject.layer.name
        digest = neighbours.best_of(session, network, layer, wanted.like)
        vector = neighbours.vector_of(session, digest, network, layer, wanted.like)
        joins.append("LEFT JOIN embeddings near ON near.digest = v.digest AND near.eye = :eye")
        given |= {"eye": EYE, "vector": as_text(vector), "like": wanted.like}
        return "asked.unit <> :like, near.vector <=> CAST(:vector AS halfvec) NULLS LAST,"
    match wanted.by:
        case By.ACTIVATION:
            return "v.activation DESC NULLS LAST,"
        case By.PERCENTILE:
            joins.append(_QUANTILES)
            return _PERCENTILE
        case By.LABEL:
            ranks = {label: rank for rank, label in enumerate(sorted(subject.classes, key=str.lower))}
            given |= {"ranks": [ranks[label] for label in subject.classes]}
            seen = "asked.unit" if subject.unit_names else _SEEN
            sure = "CAST(v.predictions -> 0 ->> 1 AS float8) DESC NULLS LAST,"
            return f"(CAST(:ranks AS int[]))[{seen} + 1] NULLS LAST, {sure}"
        case _:
            return ""


def packed(units: Sequence[int]) -> bytes:
    """The units as unsigned integers of 32 bits, the least significant byte first."""
    numbers = units if isinstance(units, array) else array("I", units)
    if sys.byteorder == "big":
        numbers = array("I", numbers)
        numbers.byteswap()
    return numbers.tobytes()


def unpacked(data: bytes) -> Sequence[int]:
    """The inverse of `packed`."""
    return _numbers(data, "little")


def _numbers(data: bytes, order: str) -> "array[int]":
    numbers = array("I")
    numbers.frombytes(data)
    if sys.byteorder != order:
        numbers.byteswap()
    return numbers
