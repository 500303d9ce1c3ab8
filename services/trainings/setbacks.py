"""A training that a worker cannot go on with: left to the others, put off, or failed, by the rules of
`services.queue.refusals`. As everywhere, nothing is changed by a worker that lost its lease.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.plain_text import told
from services.queue import leases, refusals
from services.queue.refusals import (
    BEGUN_PATIENCE_SECONDS,
    PASSING_PATIENCE_SECONDS,
    PATIENCE_SECONDS,
    Outlook,
)
from services.trainings.leases import fail, held, release

MAX_CRASHES = 3
"""Times that a training's process may crash."""
CRASH_PAUSE_SECONDS = 30.0
"""After the first crash, where no other worker could take it; four times as long after the second."""
MAX_SETBACKS = 5
"""How often, at most, one whose faults may pass is tried again once its time is over. A try may take hours,
and two faults may be far apart."""

_CRASHED = text("UPDATE trainings SET crashes = crashes + 1 WHERE id = :id RETURNING crashes")
_PUT_OFF = text("""
    UPDATE trainings SET lease_id = NULL, state = 'queued', refused_by = :refused,
        stuck_since = :since, setbacks = :setbacks,
        not_before = clock_timestamp() + make_interval(secs => :seconds),
        error = jsonb_build_object('code', CAST(:code AS text), 'message', CAST(:message AS text))
    WHERE id = :id
""")


@dataclass(frozen=True)
class _Setback:
    """Of a training whose row, as `held` gives it, is locked; `code` and `message` say what befell it."""

    id: str
    lease_id: int
    row: Any
    outlook: Outlook
    code: str
    message: str

    @property
    def number(self) -> int:
        """Of those since nobody could go on with it."""
        return 0 if self.outlook.since is None else int(self.row.setbacks) + 1


def refuse(session: Session, id: str, lease_id: int, worker_id: str, message: str) -> bool:
    """Its pictures are not where this worker sees them: it is left to the others. Where none of them sees
    them it is put off, and fails after some minutes, or some days where it was begun. False if the lease is
    lost.
    """
    row = held(session, id, lease_id)
    if row is None:
        return False
    outlook = refusals.outlook(session, worker_id, row.refused_by, row.stuck_since)
    begun = row.checkpoint_object is not None or row.progress
    setback = _Setback(id, lease_id, row, outlook, "source_refused", outlook.told(message))
    return _wait(session, setback, BEGUN_PATIENCE_SECONDS if begun else PATIENCE_SECONDS)


def put_off(session: Session, id: str, lease_id: int, worker_id: str, message: str) -> bool:
    """This worker cannot go on with it for a reason that may pass, or that others may not have: it is left to
    them, or tried again later, at no charge. It fails where that has helped nobody for a long time, longer
    where it has a checkpoint. False if the lease is lost.
    """
    row = held(session, id, lease_id)
    if row is None:
        return False
    outlook = refusals.outlook(session, worker_id, row.refused_by, row.stuck_since)
    setback = _Setback(id, lease_id, row, outlook, "training_failed", message)
    patience = PASSING_PATIENCE_SECONDS if row.checkpoint_object is None else BEGUN_PATIENCE_SECONDS
    return _wait(session, setback, patience if setback.number >= MAX_SETBACKS else math.inf)


def crashed(session: Session, id: str, lease_id: int, worker_id: str, message: str) -> bool:
    """Its process ended for no reason that it explained: it is tried again, best by another worker, and fails
    at the third time. False if the lease is lost."""
    row = held(session, id, lease_id)
    if row is None:
        return False
    crashes = session.execute(_CRASHED, {"id": id}).scalar_one()
    if crashes >= MAX_CRASHES:
        return fail(session, id, lease_id, "crashed", message)
    outlook = refusals.outlook(session, worker_id, row.refused_by, row.stuck_since)
    outlook = replace(outlook, since=row.stuck_since)  # a crash says nothing of where it may go on
    setback = _Setback(id, lease_id, row, outlook, "crashed", message)
    return _queue_again(session, setback, CRASH_PAUSE_SECONDS * 4 ** (crashes - 1))


def _wait(session: Session, setback: _Setback, patience_seconds: float) -> bool:
    if setback.outlook.hopeless(patience_seconds):
        return fail(session, setback.id, setback.lease_id, setback.code, setback.message)
    return _queue_again(session, setback, setback.outlook.again_seconds)


def _queue_again(session: Session, setback: _Setback, pause_seconds: float) -> bool:
    """For the others at once, where there are any; a canceled one ends."""
    if setback.row.state == "canceling":
        return release(session, setback.id, setback.lease_id)
    outlook = setback.outlook
    session.execute(
        _PUT_OFF,
        {
            "id": setback.id,
            "refused": [*outlook.refused],
            "since": outlook.since,
            "setbacks": setback.number,
            "seconds": 0.0 if outlook.others else pause_seconds,
            "code": setback.code,
            "message": told(setback.message),
        },
    )
    leases.close(session, setback.lease_id, outcome="released")
    return True
