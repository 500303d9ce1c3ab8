"""Trainings of generators as their owners see them: submit, read, cancel. What workers do with them stands
in `leases`."""

import builtins
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from services.access.idempotency import Submitted
from services.access.keys import Principal
from services.access.listing import newest_first
from services.access.ownership import check_may_change
from services.base.errors import Conflict, NotFound
from services.base.paging import Page
from services.base.states import ENDED_TRAININGS, TrainingState
from services.trainings.leases import Sample
from services.trainings.request import TrainingRequest
from services.trainings.submission import submit
from services.trainings.tables import TrainingRow, TrainingSampleRow

__all__ = [
    "Sample",
    "Submitted",
    "TrainingRequest",
    "TrainingView",
    "cancel",
    "get",
    "list",
    "of_ids",
    "sample",
    "submit",
]

Phase = Literal["preparing", "training", "exporting"]
SAMPLES_SHOWN = 20


@dataclass(frozen=True)
class TrainingView:
    """A training as it stands. `samples` are the latest, the newest first.

    `phase` is preparing, training or exporting while a worker has it; `rate` is in pictures a second.
    """

    id: str
    name: str
    state: TrainingState
    request: Mapping[str, Any]
    phase: Phase | None
    pictures: int
    total: int | None
    rate: float | None
    eta_seconds: float | None
    losses: Mapping[str, float]
    samples: tuple[Sample, ...]
    log_object: str | None
    card_object: str | None
    error: Mapping[str, Any] | None
    generator_id: str | None
    owner_key_id: str | None
    crashes: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED_TRAININGS


def get(session: Session, id: str) -> TrainingView:
    """Raises `NotFound`."""
    return _views(session, [_row(session, id)])[0]


def of_ids(session: Session, ids: Collection[str]) -> Mapping[str, TrainingView]:
    """Those of these that there are, by their ids."""
    rows = session.scalars(sa.select(TrainingRow).where(TrainingRow.id.in_(ids))).all()
    return {view.id: view for view in _views(session, rows)}


def list(
    session: Session, *, cursor: str | None = None, limit: int = 50, state: str | None = None
) -> Page[TrainingView]:
    """Trainings, the newest first. Raises `Invalid` for a wrong cursor, limit or state."""
    rows = newest_first(session, TrainingRow, TrainingState, cursor=cursor, limit=limit, state=state)
    return Page(tuple(_views(session, rows.data)), rows.next_cursor)


def cancel(session: Session, id: str, *, by: Principal | None = None) -> TrainingView:
    """Stop a training; nothing of it is kept but its log and samples.

    It is `canceling` until its worker has noticed, `canceled` at once where there is none. Canceling again
    changes nothing. `by` is who asks, None for the operator of the service. Raises `NotFound`, `Forbidden`
    when the training is another key's and `by` is no admin, or `Conflict` when it has ended otherwise.
    """
    row = _row(session, id, lock=True)
    check_may_change(row, by)
    now: datetime = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    if row.state == TrainingState.QUEUED:
        row.state, row.finished_at, row.error = TrainingState.CANCELED, now, None
    elif row.state == TrainingState.RUNNING:
        row.state = TrainingState.CANCELING
    elif row.state not in (TrainingState.CANCELING, TrainingState.CANCELED):
        raise Conflict(f"The training {id} has {row.state} already; there is nothing to cancel.")
    session.flush()
    return get(session, id)


def of_generator(session: Session, generator: str) -> TrainingView | None:
    """The training that made a generator, None where none did."""
    row = session.scalars(
        sa.select(TrainingRow).where(TrainingRow.generator_id == generator).limit(1)
    ).first()
    return None if row is None else _views(session, [row])[0]


def grids(session: Session, id: str, *, limit: int) -> Sequence[Sample]:
    """The samples of a training that have a picture, by their age: all of them, or where there are more than
    `limit`, so many at even distances, the first and the last among them."""
    rows = TrainingSampleRow
    drawn = sa.select(rows.pictures).where(rows.training_id == id, rows.image_object.is_not(None))
    there = session.scalars(drawn.order_by(rows.pictures)).all()
    if len(there) > limit:
        there = [there[place * (len(there) - 1) // (limit - 1)] for place in range(limit)]
    found = sa.select(rows).where(rows.training_id == id, rows.pictures.in_(there)).order_by(rows.pictures)
    return tuple(_sample(row) for row in session.scalars(found))


def sample(session: Session, id: str, pictures: int) -> Sample:
    """What the training could do after so many pictures. Raises `NotFound`."""
    _row(session, id)
    row = session.get(TrainingSampleRow, (id, pictures))
    if row is None:
        raise NotFound("sample", str(pictures), f"The training {id} lists those that it has.")
    return _sample(row)


def _row(session: Session, id: str, *, lock: bool = False) -> TrainingRow:
    row = session.get(TrainingRow, id, populate_existing=True, with_for_update=lock)
    if row is None:
        raise NotFound("training", id, "Ids look like trn_01j9… and are given by POST /v1/generators.")
    return row


def _views(session: Session, rows: Sequence[TrainingRow]) -> Sequence[TrainingView]:
    now: datetime = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    samples = _latest(session, [row.id for row in rows])
    return [_view(row, tuple(samples.get(row.id, ())), now) for row in rows]


def _latest(session: Session, ids: Sequence[str]) -> Mapping[str, Sequence[Sample]]:
    """The latest samples of each training, the newest first."""
    asked = sa.select(sa.func.unnest(sa.cast(ids, ARRAY(sa.Text))).label("id")).subquery()
    of_each = (
        sa.select(TrainingSampleRow)
        .where(TrainingSampleRow.training_id == asked.c.id)
        .order_by(TrainingSampleRow.pictures.desc())
        .limit(SAMPLES_SHOWN)
        .lateral()
    )
    latest = aliased(TrainingSampleRow, of_each)
    found: dict[str, builtins.list[Sample]] = {}
    query = sa.select(latest).select_from(asked).join(latest, sa.true())
    for row in session.scalars(query.order_by(latest.training_id, latest.pictures.desc())):
        found.setdefault(row.training_id, []).append(_sample(row))
    return found


def _sample(row: TrainingSampleRow) -> Sample:
    return Sample(row.pictures, row.held_out, row.image_object, row.created_at)


def _view(row: TrainingRow, samples: tuple[Sample, ...], now: datetime) -> TrainingView:
    progress, request = row.progress, TrainingRequest.model_validate(row.request)
    running = row.state == TrainingState.RUNNING
    rate = progress.get("rate") if running else None
    pictures = int(progress.get("pictures") or 0)
    left = []
    if rate and request.pictures is not None:
        left.append(max(request.pictures - pictures, 0) / rate)
    if running and request.until is not None:
        left.append(max((request.until - now).total_seconds(), 0.0))
    return TrainingView(
        row.id,
        row.name,
        TrainingState(row.state),
        row.request,
        progress.get("phase") if running else None,
        pictures,
        request.pictures,
        rate,
        min(left) if left else None,
        progress.get("losses") or {},
        samples,
        row.log_object,
        row.card_object,
        row.error,
        row.generator_id,
        row.owner_key_id,
        row.crashes,
        row.created_at,
        row.started_at,
        row.finished_at,
    )
