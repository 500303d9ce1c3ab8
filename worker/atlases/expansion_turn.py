"""Expansion of atlases as a kind of work: a slice at a time, so that pictures are made meanwhile."""

import time
from collections.abc import Callable

import structlog
from sqlalchemy.orm import Session

from services.atlases.building import steps
from services.atlases.building.steps import JobCursor, Step
from services.atlases.subjects import EXPAND
from services.base.errors import Unavailable
from services.queue import batches, chores
from services.queue.chores import CHORES, WorkClaim
from worker.leasing.chore_turns import ChoreTurns
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper
from worker.leasing.work_kinds import Tend
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag

log = structlog.get_logger()


class Expansion(ChoreTurns):
    """Does what is wanted of one atlas: each step is a transaction that holds the lease. `ring` tells other
    workers that there are pictures to be claimed: once a slice, as soon as there are some."""

    kind = CHORES[EXPAND]

    def __init__(
        self, held: HeldLeases, stop: StopFlag, *, alternating: bool, ring: Callable[[], object]
    ) -> None:
        super().__init__(held, stop, alternating=alternating)
        self._ring = ring

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        (task,) = claim.tasks
        until = self.slice_end(keeper)
        cursor, rung = JobCursor.kept(task.payload), False
        try:
            while not self._stop.asked and not keeper.fenced:
                with self._database.session() as session:
                    if not chores.hold(session, claim.lease_id, [task.subject]):
                        return
                    done = steps.step(session, task.subject, cursor)
                    if done.cursor.after == cursor.after or done.wait:  # not only a look at one more job
                        chores.went_on(session, claim.lease_id, task.subject)
                    lacks = self._held.lacking.left
                    ends = time.monotonic() >= until or batches.interactive_waits(session, lacks=lacks)
                    slice_is_over = self._report(session, claim, task.subject, done, ends=ends)
                    crash_point("expanding")
                crash_point("expanded")
                if done.queued and not rung:
                    self._ring()
                    rung = True
                if slice_is_over:
                    return
                cursor = done.cursor
        except Unavailable:
            raise
        except Exception as error:
            log.exception("expansion_failed", atlas=task.subject)
            self.charge(claim, "expansion_failed", error)
            return
        with self._database.session() as session:
            chores.release(session, claim.lease_id, payload=cursor.to_keep())

    def _report(self, session: Session, claim: WorkClaim, subject: str, done: Step, *, ends: bool) -> bool:
        """Say what came of a step, in its transaction; whether the slice is over."""
        if done.wait is None:
            # Together with the step that found nothing left: what is wanted afterwards is planned anew.
            chores.done(session, claim.lease_id, [subject])
            log.info("atlas_expanded", atlas=subject)
            return True
        if done.wait or ends:
            payload = done.cursor.to_keep()
            chores.release(session, claim.lease_id, [subject], after_seconds=done.wait, payload=payload)
            return True
        return False
