"""Idempotency keys of jobs, trainings, atlases and scans; lists of jobs and trainings by age and state."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.atlases.tables import AtlasRow
from services.base.errors import IdempotencyKeyReused, Invalid
from services.base.paging import Page, page_of
from services.exemplars.tables import ScanRow
from services.jobs.tables import JobRow
from services.trainings.tables import TrainingRow


@dataclass(frozen=True)
class Submitted:
    """The id of what was asked for; `created` is False for a repeated submission."""

    id: str
    created: bool


Row = TypeVar("Row", JobRow, TrainingRow)
Asked = TypeVar("Asked", JobRow, TrainingRow, AtlasRow, ScanRow)


def replayed(
    session: Session, kind: type[Asked], owner: str | None, idempotency_key: str, known_as: Sequence[str]
) -> Asked | None:
    """What the key `owner` has asked for before under this idempotency key, if anything.

    `known_as` are the fingerprints that the request may be stored with. Raises `IdempotencyKeyReused` when
    that was something else.
    """
    row = session.scalars(
        sa.select(kind).where(
            kind.owner_key_id.is_not_distinct_from(owner), kind.idempotency_key == idempotency_key
        )
    ).first()
    if row is not None and row.request_hash not in known_as:
        raise IdempotencyKeyReused(
            f"The idempotency key {idempotency_key!r} was used for another request, which became {row.id}."
        )
    return row


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
