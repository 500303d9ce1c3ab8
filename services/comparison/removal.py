"""Remove comparisons little by little: those that newer ones replace, that nobody asks for, that are too
many, or whose atlas goes."""

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.comparison.tables import ComparisonRow

KEPT_DAYS = 30
"""How long a comparison is kept that nobody asks for."""
MOST_KEPT = 1000
"""Comparisons that are kept, those that were asked for last: whoever reads may have all pairs compared."""
_AT_ONCE = 20_000
_REMOVE_UNITS = text("""
    DELETE FROM compared_units WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM compared_units WHERE comparison = :no LIMIT :most
    )) RETURNING 1
""")


def remove_some(session: Session, which: sa.ColumnElement[bool], *, waiting: bool = True) -> bool:
    """The next step of the removal of these comparisons; False when they are gone, or, unless `waiting`, are
    in the hands of others."""
    locking = sa.select(ComparisonRow).where(which).order_by(ComparisonRow.no).limit(1)
    locking = locking.with_for_update(skip_locked=not waiting)
    row = session.scalars(locking).first()
    if row is None:
        return False
    if session.execute(_REMOVE_UNITS, {"no": row.no, "most": _AT_ONCE}).first() is None:
        session.delete(row)
        session.flush()
    return True


def of_atlas(atlas_no: int) -> sa.ColumnElement[bool]:
    """Those that an atlas takes part in."""
    return sa.or_(ComparisonRow.a_no == atlas_no, ComparisonRow.b_no == atlas_no)


def obsolete(made: ComparisonRow) -> sa.ColumnElement[bool]:
    """Those that one replaces which is whole, all that nobody has asked for long, and those that are too
    many."""
    pair = (ComparisonRow.a_no, ComparisonRow.a_number, ComparisonRow.b_no, ComparisonRow.b_number)
    here = (made.a_no, made.a_number, made.b_no, made.b_number)
    replaced = sa.and_(
        *(column == value for column, value in zip(pair, here, strict=True)), ComparisonRow.no < made.no
    )
    long_ago = ComparisonRow.asked_at < sa.func.now() - sa.text(f"interval '{KEPT_DAYS} days'")
    made_ones = sa.select(ComparisonRow.no).where(ComparisonRow.made_at.is_not(None))
    newest_first = made_ones.order_by(ComparisonRow.asked_at.desc(), ComparisonRow.no.desc())
    too_many = ComparisonRow.no.in_(newest_first.offset(MOST_KEPT))
    return sa.or_(replaced, too_many, sa.and_(ComparisonRow.made_at.is_not(None), long_ago))
