"""Chores a slice at a time, so that pictures are made meanwhile."""

import time
from typing import ClassVar

from sqlalchemy.orm import Session

from services.base.database import Database
from services.base.errors import ImagoError
from services.queue import batches, chores
from services.queue.chores import Chore, WorkClaim
from services.upkeep import collected
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper, LeaseLost
from worker.leasing.work_kinds import LeasedWork
from worker.process.stopping import StopFlag

SLICE_SECONDS = 4.0
"""About how long pictures wait for a slice."""
LOOK_SECONDS = 0.5
"""How often, in the midst of a step, the database is asked whether someone waits for a picture."""


class ChoreTurns(LeasedWork[WorkClaim]):
    """One chore of a kind for a slice of time. `alternating`: after a slice it lets others go first once, for
    a place before other work."""

    kind: ClassVar[Chore]

    def __init__(self, held: HeldLeases, stop: StopFlag, *, alternating: bool) -> None:
        super().__init__(held)
        self._stop = stop
        self._alternating = alternating
        self._others_first = False
        self._looked_at = 0.0

    def may_claim(self) -> bool:
        if self._others_first:
            self._others_first = False
            return False
        return True

    def claim(self, session: Session) -> WorkClaim | None:
        found = chores.claim(session, self.kind.name, self._held.worker_id, lease_seconds=self._held.seconds)
        self._others_first = self._alternating and found is not None
        return found

    def slice_end(self, keeper: LeaseKeeper) -> float:
        """Until when the slice lasts, on the monotonic clock; a step more may go beyond it."""
        return keeper.claimed_at + min(SLICE_SECONDS, self._held.seconds / 4)

    def somebody_waits(self) -> bool:
        """Whether this worker could make pictures that somebody waits for: then the slice is over."""
        with self._database.session() as session:
            return batches.interactive_waits(session, lacks=self._held.lacking.left)

    def may_go_on(self, keeper: LeaseKeeper, until: float) -> bool:
        """Whether the slice goes on; for a step that may take long."""
        now = time.monotonic()
        if self._stop.asked or keeper.fenced or now >= until:
            return False
        if now - self._looked_at < LOOK_SECONDS:
            return True
        self._looked_at = now
        return not self.somebody_waits()

    def charge(self, claim: WorkClaim, code: str, error: BaseException) -> None:
        """Charge the chore an attempt."""
        charge(self._database, claim, code, error)


def charge(database: Database, claim: WorkClaim, code: str, error: BaseException) -> None:
    """Charge a chore an attempt: people are told what was meant for them, the log has the rest."""
    message = str(error) if isinstance(error, ImagoError) else "The reason is in the worker's log."
    with database.session() as session:
        chores.fail(session, claim.lease_id, claim.tasks[0].subject, code, message)


def hold_to_write(session: Session, claim: WorkClaim, *, goes_on: bool = True) -> None:
    """Make sure that the chore is still this worker's before rows point to objects that it has stored. Unless
    it begins anew, what it was charged before is forgotten with that. Raises `LeaseLost`."""
    subject = claim.tasks[0].subject
    collected.enter(session)
    if not chores.hold(session, claim.lease_id, [subject]):
        raise LeaseLost(f"The {claim.kind} {subject} is another's by now.")
    if goes_on:
        chores.went_on(session, claim.lease_id, subject)
