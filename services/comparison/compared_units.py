"""The units of a compared layer, the most changed first, with all that is shown of them side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from services.base.paging import Key, Page
from services.catalog.layers import labels_of_layer
from services.comparison.comparisons import ComparedLayer, Comparison
from services.comparison.tables import ComparedUnitRow
from services.search.changes import BY_CHANGE, most_changed_first
from services.search.tables import PictureLabelRow


@dataclass(frozen=True)
class SideOfUnit:
    """A unit's picture in one of the two. `label`: what its network sees in it, most probably."""

    digest: str
    activation: float | None
    percentile: float | None
    label: str | None
    probability: float | None


@dataclass(frozen=True)
class ComparedUnit:
    """A unit of both. `label` names its class, for a unit of the output; `same_label` is None where one
    network says nothing."""

    unit: int
    label: str | None
    distance: float
    same_label: bool | None
    a: SideOfUnit
    b: SideOfUnit


def page(
    session: Session, found: Comparison, layer: ComparedLayer, cursor: str | None, limit: int
) -> Page[ComparedUnit]:
    """One page, of those that were compared so far. Raises `Invalid` for a wrong cursor or limit."""
    row = ComparedUnitRow
    seen, other = aliased(PictureLabelRow), aliased(PictureLabelRow)
    labels = labels_of_layer(session, found.a.network, layer.layer)

    def read(after: Key | None, most: int) -> Sequence[ComparedUnit]:
        here = sa.select(row).where(row.comparison == found.no, row.layer == layer.ordinal)
        pairs = most_changed_first(here, row.distance, row.unit, after, most).subquery()
        query = (
            sa.select(
                pairs,
                *(seen.label.label("a_label"), seen.probability.label("a_probability")),
                *(other.label.label("b_label"), other.probability.label("b_probability")),
            )
            .join(seen, sa.and_(seen.digest == _hex(pairs.c.a_digest), seen.rank == 1), isouter=True)
            .join(other, sa.and_(other.digest == _hex(pairs.c.b_digest), other.rank == 1), isouter=True)
            .order_by(pairs.c.distance.desc(), pairs.c.unit)
        )
        return [_unit(entry, labels) for entry in session.execute(query)]

    return BY_CHANGE.page(cursor, limit, read, lambda unit: [unit.distance, unit.unit])


def _hex(digest: sa.ColumnElement[bytes]) -> sa.ColumnElement[str]:
    return sa.func.encode(digest, "hex", type_=sa.Text()).collate("C")


def _unit(row: Any, labels: Sequence[str]) -> ComparedUnit:
    return ComparedUnit(
        row.unit,
        labels[row.unit] if row.unit < len(labels) else None,
        row.distance,
        row.same_label,
        SideOfUnit(row.a_digest.hex(), row.a_activation, row.a_percentile, row.a_label, row.a_probability),
        SideOfUnit(row.b_digest.hex(), row.b_activation, row.b_percentile, row.b_label, row.b_probability),
    )
