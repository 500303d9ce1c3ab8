"""Expansion of atlases as a kind of work: a slice at a time, so that pictures are made meanwhile."""

import time

import structlog
from sqlalchemy.orm import Session

from services.atlases import expansion
from services.atlases.creation import EXPAND
from services.atlases.expansion import Place, Step
from services.base.errors import ImagoError, Unavailable
from services.queue import batches, chores
from services.queue.chores import CHORES, WorkClaim
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper
from worker.leasing.work_kinds import LeasedWork, Tend
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag

SLICE_SECONDS = 4.0
"""About how long pictures wait for a slice; a step more may go beyond it."""
log = structlog.get_logger()


class Expansion(LeasedWork[WorkClaim]):
    """Does what is wanted of one atlas for a slice of time: each step is a transaction that holds the lease.

    `alternating`: after a slice it lets others go first once, for a place before other work.
    """

    kind = CHORES[EXPAND]

    def __init__(self, held: HeldLeases, stop: StopFlag, *, alternating: bool) -> None:
        super().__init__(held)
        self._stop = stop
        self._alternating = alternating
        self._others_first = False

    def may_claim(self) -> bool:
        if self._others_first:
            self._others_first = False
            return False
        return True

    def claim(self, session: Session) -> WorkClaim | None:
        found = chores.claim(session, EXPAND, self._held.worker_id, lease_seconds=self._held.seconds)
        self._others_first = self._alternating and found is not None
        return found

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        (task,) = claim.tasks
        until = keeper.claimed_at + min(SLICE_SECONDS, self._held.seconds / 4)
        place = Place()
        try:
            while not self._stop.asked and not keeper.fenced:
                with self._database.session() as session:
                    if not chores.hold(session, claim.lease_id, [task.subject]):
                        return
                    done = expansion.step(session, task.subject, place)
                    ends = time.monotonic() >= until or batches.interactive_waits(session)
                    slice_is_over = self._report(session, claim, task.subject, done, ends=ends)
                    crash_point("expanding")
                crash_point("expanded")
                if slice_is_over:
                    return
                place = done.place
        except Unavailable:
            raise
        except Exception as error:
            log.exception("expansion_failed", atlas=task.subject)
            message = str(error) if isinstance(error, ImagoError) else "The reason is in the worker's log."
            with self._database.session() as session:
                chores.fail(session, claim.lease_id, task.subject, "expansion_failed", message)
            return
        with self._database.session() as session:
            chores.release(session, claim.lease_id)

    def _report(self, session: Session, claim: WorkClaim, subject: str, done: Step, *, ends: bool) -> bool:
        """Say what came of a step, in its transaction; whether the slice is over."""
        if done.wait is None:
            # Together with the step that found nothing left: what is wanted afterwards is planned anew.
            chores.done(session, claim.lease_id, [subject])
            log.info("atlas_expanded", atlas=subject)
            return True
        if done.wait or ends:
            chores.release(session, claim.lease_id, [subject], after_seconds=done.wait)
            return True
        return False
