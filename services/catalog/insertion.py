"""Insert a row that another transaction may insert or remove at the same moment."""

from collections.abc import Sequence
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.base.errors import Conflict

T = TypeVar("T")
_TRIES = 5


def inserted_or_there(session: Session, added: sa.Insert, locking: sa.Select[T], what: str) -> Sequence[T]:
    """The rows that `locking` selects and locks, at least one, after `added` has inserted what was not there.

    `added` does nothing on a conflict. Where the only row is being removed, the lock is waited for and the
    row is gone then: it is inserted once more. Raises `Conflict`, which names `what`, when that happens again
    and again.
    """
    for _ in range(_TRIES):
        session.execute(added)
        rows = session.scalars(locking.execution_options(populate_existing=True)).all()
        if rows:
            return rows
    raise Conflict(f"{what} is registered and removed all the time; try again.")
