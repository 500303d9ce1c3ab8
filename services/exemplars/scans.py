"""Scans as their owners see them: read, list, cancel, remove. What workers do stands in `working`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.access.listing import known_state
from services.access.ownership import check_may_change
from services.base.errors import Conflict, NotFound
from services.base.paging import Page, page_of
from services.base.states import ENDED_SCANS, ScanState
from services.catalog.networks import get_network
from services.exemplars.tables import ScanRow
from services.queue import chores

Phase = Literal["looking", "cropping"]


@dataclass(frozen=True)
class ScanView:
    """A scan as it stands. `layers` are the names of those it watches.

    `pictures` were looked at, `left_out` could not be decoded or read; `total` is how many there are, once
    that is known. `crops` are the exemplars that were cut out. `error` says why it failed, or, while it goes
    on, why the last worker to try could not go on with it; then nobody is at it.
    """

    id: str
    network: str
    state: ScanState
    request: Mapping[str, Any]
    layers: tuple[str, ...]
    input_size: int | None
    phase: Phase | None
    pictures: int
    left_out: int
    left_out_first: tuple[str, ...]
    total: int | None
    crops: int
    rate: float | None
    eta_seconds: float | None
    error: Mapping[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED_SCANS


def get(session: Session, id: str) -> ScanView:
    """Raises `NotFound`."""
    return _view(_row(session, id))


def list(
    session: Session,
    *,
    network: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
    state: str | None = None,
) -> Page[ScanView]:
    """Scans, the newest first. Raises `NotFound` for an unknown network, `Invalid` for a wrong cursor, limit
    or state."""
    query = sa.select(ScanRow)
    if network is not None:
        get_network(session, network)
        query = query.where(ScanRow.network_id == network)
    if state is not None:
        query = query.where(ScanRow.state == known_state(ScanState, state))
    return page_of(session, query, ScanRow.no, name="scans", cursor=cursor, limit=limit, descending=True).map(
        _view
    )


def cancel(session: Session, id: str, *, by: Principal | None = None) -> ScanView:
    """Stop a scan; what it has found so far is not shown. Canceling again changes nothing.

    `by` is who asks, None for the operator of the service. Raises `NotFound`, `Forbidden` when it is another
    key's and `by` is no admin, or `Conflict` when it has ended otherwise.
    """
    # The work first: a worker locks it before the scan.
    chores.unplan(session, "scan", id) if _may_cancel(session, id, by) else None
    row = _row(session, id, lock=True)
    now: datetime = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    if row.state in (ScanState.QUEUED, ScanState.RUNNING):
        row.state, row.checkpoint_object, row.finished_at = ScanState.CANCELED, None, now
        row.error = None
    elif row.state != ScanState.CANCELED:
        raise Conflict(f"The scan {id} has {row.state} already; there is nothing to cancel.")
    session.flush()
    return _view(row)


def remove(session: Session, id: str, *, by: Principal | None = None) -> None:
    """Forget a scan that has ended; what it has found is seen no more, and removed little by little.

    As `cancel`; `Conflict` while it goes on.
    """
    row = _row(session, id, lock=True)
    check_may_change(row, by)
    if row.state not in ENDED_SCANS:
        raise Conflict(f"The scan {id} is {row.state}; cancel it first: POST /v1/scans/{id}/cancel.")
    session.execute(sa.delete(ScanRow).where(ScanRow.no == row.no))


def _may_cancel(session: Session, id: str, by: Principal | None) -> bool:
    row = _row(session, id)
    check_may_change(row, by)
    return row.state not in ENDED_SCANS


def _row(session: Session, id: str, *, lock: bool = False) -> ScanRow:
    query = sa.select(ScanRow).where(ScanRow.id == id).execution_options(populate_existing=True)
    row = session.scalars(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound("scan", id, "Ids look like scn_01j9… and are given by POST /v1/scans.")
    return row


def _view(row: ScanRow) -> ScanView:
    progress, request = row.progress, row.request
    running = row.state == ScanState.RUNNING and row.error is None
    rate = progress.get("rate") if running else None
    total, read = progress.get("total"), int(progress.get("read") or 0)
    return ScanView(
        id=row.id,
        network=row.network_id,
        state=ScanState(row.state),
        request={name: value for name, value in request.items() if name not in ("layer_names",)},
        layers=tuple(request["layer_names"]),
        input_size=request["input_size"],
        phase=progress.get("phase", "looking") if running else None,
        pictures=int(progress.get("pictures") or 0),
        left_out=int(progress.get("left_out") or 0),
        left_out_first=tuple(progress.get("left_out_first") or ()),
        total=total,
        crops=int(progress.get("crops") or 0),
        rate=rate,
        eta_seconds=max(total - read, 0) / rate if rate and total is not None else None,
        error=row.error,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
