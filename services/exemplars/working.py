"""What a worker may do with a scan that it has claimed: note how far it is, add what it found, end it.

Each change is one transaction that first holds the lease, then the row of `work`, then the scan. A worker
that lost its lease, or whose scan was canceled, changes nothing and hears so; what is reported twice takes
effect once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.base.plain_text import told
from services.exemplars import forgetting
from services.exemplars.tables import CropPackRow, ExemplarRow, UnitStatisticsRow
from services.queue import chores, refusals
from services.queue.chores import WorkClaim
from services.queue.refusals import (
    BEGUN_PATIENCE_SECONDS,
    PASSING_PATIENCE_SECONDS,
    PATIENCE_SECONDS,
    Outlook,
)
from services.upkeep import collected

AGAIN_SECONDS = 5.0
"""After how long a worker that has the pictures may look at a scan that another one has refused."""


@dataclass(frozen=True)
class ScanTask:
    """A scan in a worker's hands, as it was last saved."""

    id: str
    no: int
    lease_id: int
    network_id: str
    network_sha256: str
    sources: tuple[str, ...]
    layers: tuple[str, ...]
    kept: int
    input_size: int | None
    progress: Mapping[str, Any]
    checkpoint_object: str | None


_BEGIN = text("""
    UPDATE scans SET state = 'running', started_at = coalesce(started_at, clock_timestamp())
    WHERE id = :id AND state IN ('queued', 'running')
    RETURNING no, network_id, network_sha256, request, progress, checkpoint_object
""")
_HOLD = text("SELECT checkpoint_object FROM scans WHERE id = :id FOR NO KEY UPDATE")
# It goes on: what it has waited for is there.
_NOTE = text("""
    UPDATE scans SET progress = progress || CAST(:progress AS jsonb), error = NULL WHERE id = :id
""")
_WAITS = text("""
    UPDATE scans
    SET error = jsonb_build_object('code', CAST(:code AS text), 'message', CAST(:message AS text))
    WHERE id = :id
""")
_SAVE = text("UPDATE scans SET checkpoint_object = :checkpoint WHERE id = :id")
_ANEW = text("UPDATE scans SET checkpoint_object = NULL, progress = '{}' WHERE id = :id")
_SURVIVED = text("""
    UPDATE work SET crash_count = 0, payload = payload - 'refused_by' - 'refused_since'
    WHERE kind = 'scan' AND subject = :id
    AND (crash_count > 0 OR payload ?| ARRAY['refused_by', 'refused_since'])
""")
_END = text("""
    UPDATE scans SET state = :state, error = CAST(:error AS jsonb), checkpoint_object = NULL,
        finished_at = clock_timestamp()
    WHERE id = :id
""")
_WHY = text("SELECT error FROM work WHERE kind = 'scan' AND subject = :id")
_BEGUN = text("SELECT checkpoint_object IS NOT NULL OR progress <> '{}' FROM scans WHERE id = :id")


def begin(session: Session, claim: WorkClaim) -> ScanTask | None:
    """The scan of a claim; None where it goes on no more: then the claim has ended too.

    One that was given up, because it killed its workers, fails here.
    """
    id = claim.tasks[0].subject
    if claim.tasks[0].given_up:
        error = session.execute(_WHY, {"id": id}).scalar_one()
        _end(session, id, claim.lease_id, "failed", error)
        return None
    row = session.execute(_BEGIN, {"id": id}).first()
    if row is None:
        chores.done(session, claim.lease_id, [id])
        return None
    request = row.request
    return ScanTask(
        id=id,
        no=row.no,
        lease_id=claim.lease_id,
        network_id=row.network_id,
        network_sha256=row.network_sha256,
        sources=tuple(request["sources"]),
        layers=tuple(request["layer_names"]),
        kept=request["exemplars"],
        input_size=request["input_size"],
        progress=row.progress,
        checkpoint_object=row.checkpoint_object,
    )


def begin_anew(session: Session, task: ScanTask) -> None:
    """Go back to the beginning: the state that goes with what was found is lost. `forget_some` follows."""
    if _held(session, task) is not None:
        session.execute(_ANEW, {"id": task.id})


def forget_some(session: Session, task: ScanTask) -> bool:
    """Remove some of what was found, of a scan that begins; False where nothing is left, or the lease is
    lost."""
    return _held(session, task) is not None and forgetting.forget_some_of(session, task.no)


def save(
    session: Session, task: ScanTask, progress: Mapping[str, Any], checkpoint: str | None = None
) -> tuple[bool, str | None]:
    """Note how far it is, and point to a state in the store that is as far, if one is given. Returns whether
    the scan is still the worker's, and the key that nothing points to any more."""
    before = _held(session, task)
    if before is None:
        return False, None
    session.execute(_NOTE, {"id": task.id, "progress": json.dumps(progress)})
    if checkpoint is None:
        return True, None
    session.execute(_SAVE, {"id": task.id, "checkpoint": checkpoint})
    session.execute(_SURVIVED, {"id": task.id})
    superseded = before.checkpoint_object
    return True, superseded if superseded != checkpoint else None


def add_statistics(session: Session, task: ScanTask, rows: Sequence[Mapping[str, Any]]) -> bool:
    """What was found of some units, columns of `UnitStatisticsRow`. False if the lease is lost."""
    if _held(session, task) is None:
        return False
    added = insert(UnitStatisticsRow).on_conflict_do_nothing()
    session.execute(added, [{"scan_no": task.no, **row} for row in rows])
    return True


def add_exemplars(
    session: Session,
    task: ScanTask,
    packs: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    progress: Mapping[str, Any],
) -> bool:
    """Packs of crops that are in the store, columns of `CropPackRow`, the exemplars in them, columns of
    `ExemplarRow`, and how far the scan is with these: all or nothing. False if the lease is lost.

    Raises `Unavailable` when a pack may have been collected meanwhile: put it again.
    """
    collected.guard(session, [pack["object"] for pack in packs])
    if _held(session, task) is None:
        return False
    for table, found in ((CropPackRow, packs), (ExemplarRow, rows)):
        if found:
            session.execute(sa.insert(table), [{"scan_no": task.no, **row} for row in found])
    session.execute(_NOTE, {"id": task.id, "progress": json.dumps(progress)})
    session.execute(_SURVIVED, {"id": task.id})
    return True


def finish(session: Session, task: ScanTask) -> bool:
    """All that there is to find is found. False if the lease is lost."""
    return _end(session, task.id, task.lease_id, "succeeded", None)


def fail(session: Session, id: str, lease_id: int, code: str, message: str) -> bool:
    """End it for a reason that would end it again, in words for the person who asked for it."""
    return _end(session, id, lease_id, "failed", {"code": code, "message": told(message)})


def crashed(session: Session, id: str, lease_id: int, code: str, message: str) -> None:
    """It ended for a reason that may pass: it is tried again, and fails at the third time. `error` says
    meanwhile why."""
    given_up = chores.fail(session, lease_id, id, code, told(message))
    if given_up:
        error = {"code": code, "message": told(message)}
        session.execute(_END, {"id": id, "state": "failed", "error": json.dumps(error)})
        chores.unplan(session, "scan", id)
    elif given_up is not None:
        _say_why(session, id, code, message)


def refuse(session: Session, claim: WorkClaim, worker_id: str, message: str) -> None:
    """Its pictures are not where this worker sees them: it is left to the others. Where none of them sees
    them it is put off, and fails after some minutes, or some days where it was begun. `error` says meanwhile
    why, here and below."""
    outlook = _outlook(session, claim, worker_id)
    _wait(session, claim, outlook, PATIENCE_SECONDS, "source_refused", outlook.told(message))


def leave(session: Session, claim: WorkClaim, worker_id: str, message: str) -> None:
    """This worker cannot go on with it for a reason that lies at its machine, such as a full disk or memory
    that others hold: likewise, but that it fails after an hour at the earliest."""
    outlook = _outlook(session, claim, worker_id)
    _wait(session, claim, outlook, PASSING_PATIENCE_SECONDS, "internal", message)


def put_off(session: Session, claim: WorkClaim, seconds: float, code: str, message: str) -> None:
    """What it needs is not to be had now, which is no fault of it: whoever is first tries again in so many
    seconds."""
    if chores.put_off(session, claim.lease_id, seconds=seconds):
        _say_why(session, claim.tasks[0].subject, code, message)


def _outlook(session: Session, claim: WorkClaim, worker_id: str) -> Outlook:
    payload = claim.tasks[0].payload
    noted = payload.get("refused_since")
    since = None if noted is None else datetime.fromisoformat(noted)
    return refusals.outlook(session, worker_id, payload.get("refused_by", ()), since)


def _wait(
    session: Session, claim: WorkClaim, outlook: Outlook, patience_seconds: float, code: str, message: str
) -> None:
    id = claim.tasks[0].subject
    begun = session.execute(_BEGUN, {"id": id}).scalar()
    if outlook.hopeless(BEGUN_PATIENCE_SECONDS if begun else patience_seconds):
        fail(session, id, claim.lease_id, code, message)
        return
    payload = {
        "refused_by": [*outlook.refused],
        "refused_since": None if outlook.since is None else outlook.since.isoformat(),
    }
    if outlook.others:
        given_back = chores.release(session, claim.lease_id, after_seconds=AGAIN_SECONDS, payload=payload)
    else:
        given_back = chores.put_off(session, claim.lease_id, seconds=outlook.again_seconds, payload=payload)
    if given_back:
        _say_why(session, id, code, message)


def _say_why(session: Session, id: str, code: str, message: str) -> None:
    """Tell people why a scan rests: one whose row of `work` this transaction has locked."""
    session.execute(_WAITS, {"id": id, "code": code, "message": told(message)})


def _end(session: Session, id: str, lease_id: int, state: str, error: Mapping[str, Any] | None) -> bool:
    if not chores.hold(session, lease_id, [id]):
        return False
    ended = {"id": id, "state": state, "error": None if error is None else json.dumps(error)}
    session.execute(_END, ended)
    chores.done(session, lease_id, [id])
    return True


def _held(session: Session, task: ScanTask) -> Any:
    """The scan, locked after its lease and its work, if this lease still holds it."""
    if not chores.hold(session, task.lease_id, [task.id]):
        return None
    return session.execute(_HOLD, {"id": task.id}).first()
