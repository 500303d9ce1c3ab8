"""Lists of jobs, trainings and scans by age and state."""

from enum import StrEnum
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.base.errors import Invalid
from services.base.paging import Page, page_of
from services.jobs.tables import JobRow
from services.trainings.tables import TrainingRow

Row = TypeVar("Row", JobRow, TrainingRow)


def newest_first(
    session: Session,
    kind: type[Row],
    states: type[StrEnum],
    *,
    cursor: str | None,
    limit: int,
    state: str | None,
    only: sa.ColumnElement[bool] | None = None,
) -> Page[Row]:
    """A page of rows, the newest first.

    `state`, one of `states`, narrows it to those in that state, `only` to those of which it is true. Raises
    `Invalid` for a wrong cursor, limit or state.
    """
    query = sa.select(kind)
    if only is not None:
        query = query.where(only)
    if state is not None:
        query = query.where(kind.state == known_state(states, state))
    name = kind.__tablename__
    return page_of(session, query, kind.id, name=name, cursor=cursor, limit=limit, descending=True)


def known_state(kind: type[StrEnum], state: str) -> str:
    """The state itself. Raises `Invalid` at `/state` for a word that is none of these states."""
    if state not in tuple(kind):
        raise Invalid.field("/state", f"must be one of {', '.join(tuple(kind))}; got {state!r}")
    return state
