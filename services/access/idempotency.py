"""Idempotency keys of jobs, trainings, atlases and scans."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.atlases.tables import AtlasRow
from services.base.errors import IdempotencyKeyReused, Invalid
from services.exemplars.tables import ScanRow
from services.jobs.tables import JobRow
from services.trainings.tables import TrainingRow

LONGEST_KEY = 255
"""Characters of an idempotency key at most."""


@dataclass(frozen=True)
class Submitted:
    """The id of what was asked for; `created` is False for a repeated submission."""

    id: str
    created: bool


Asked = TypeVar("Asked", JobRow, TrainingRow, AtlasRow, ScanRow)


def replayed(
    session: Session, kind: type[Asked], owner: str | None, idempotency_key: str, known_as: Sequence[str]
) -> Asked | None:
    """What the key `owner` has asked for before under this idempotency key, if anything.

    `known_as` are the fingerprints that the request may be stored with. Raises `IdempotencyKeyReused` when
    that was something else, `Invalid` for a key that is empty or longer than `LONGEST_KEY`.
    """
    if not 1 <= len(idempotency_key) <= LONGEST_KEY:
        raise Invalid.field("/idempotency_key", f"must have 1 to {LONGEST_KEY} characters")
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
