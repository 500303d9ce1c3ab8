"""Who sees an atlas: everyone who may read a public one, its owner and admins a private one.

To all others a private atlas is not there, nor are its jobs: they are answered as for an id that was never
given.
"""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.access.ownership import check_may_change, may_change
from services.atlases.tables import AtlasRow
from services.base.errors import NotFound
from services.base.states import AtlasWish, Visibility

ANYONE = Principal("", "anyone", frozenset())
"""Who reads without a key."""
_HIDDEN = (AtlasWish.DELETE, AtlasWish.IMPORT)
"""What is not there for anybody."""


def sees(row: AtlasRow, by: Principal | None) -> bool:
    """Whether `by`, None for the operator of the service, sees the atlas."""
    if row.wish in _HIDDEN:
        return False
    return row.visibility == Visibility.PUBLIC or may_change(row.owner_key_id, by)


def sees_part(session: Session, atlas_no: int | None, by: Principal | None) -> bool:
    """Whether `by` sees what is a part of the atlas of this number, None for what is a part of none."""
    if atlas_no is None:
        return True
    row = session.get(AtlasRow, atlas_no)
    return row is not None and sees(row, by)


def whole_of(session: Session, atlas_no: int | None) -> tuple[str, str] | None:
    """Id and name of the atlas of this number, for those who see a part of it; None for None."""
    row = None if atlas_no is None else session.get(AtlasRow, atlas_no)
    return None if row is None else (row.id, row.name)


def seen_by(by: Principal | None) -> sa.ColumnElement[bool]:
    """The same as a condition on `AtlasRow`."""
    there = AtlasRow.wish.not_in(_HIDDEN)
    if by is None or "admin" in by.scopes:
        return there
    return sa.and_(
        there, sa.or_(AtlasRow.visibility == Visibility.PUBLIC, AtlasRow.owner_key_id == by.key_id)
    )


def atlas_row(session: Session, id: str, by: Principal | None) -> AtlasRow:
    """The atlas, if `by` sees it. Raises `NotFound`."""
    row = session.scalars(sa.select(AtlasRow).where(AtlasRow.id == id)).first()
    if row is None or not sees(row, by):
        raise _not_found(id)
    return row


def may_end_import(row: AtlasRow, by: Principal | None) -> bool:
    """Whether it is an import that goes on, which nobody sees, and that `by` may end."""
    return row.wish == AtlasWish.IMPORT and may_change(row.owner_key_id, by)


def atlas_to_change(session: Session, id: str, by: Principal | None, *, or_import: bool = False) -> AtlasRow:
    """The atlas, locked until the transaction ends; `or_import`: also one that is being imported by `by`.
    Raises `NotFound`, or `Forbidden` for another's."""
    locking = sa.select(AtlasRow).where(AtlasRow.id == id).with_for_update(key_share=True)
    row = session.scalars(locking.execution_options(populate_existing=True)).first()
    if row is None or not (sees(row, by) or (or_import and may_end_import(row, by))):
        raise _not_found(id)
    check_may_change(row, by)
    return row


def _not_found(id: str) -> NotFound:
    return NotFound("atlas", id, "Ids look like atl_01j9… and are given by POST /v1/atlases.")
