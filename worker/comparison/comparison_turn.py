"""Comparisons of atlases as a kind of work: a slice at a time, so that pictures are made meanwhile."""

import time
from concurrent.futures import ThreadPoolExecutor

import structlog

from services.base.errors import Unavailable
from services.base.object_keys import sheet_key
from services.base.storage import ObjectStore
from services.comparison import making
from services.comparison.making import COMPARE, Pairs
from services.queue import chores
from services.queue.chores import CHORES, WorkClaim
from services.upkeep import collected
from worker.comparison.pairs_picture import drawn
from worker.leasing.chore_turns import ChoreTurns
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper
from worker.leasing.work_kinds import Tend
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag
from worker.sheets import drawing
from worker.sheets.stored_pictures import AT_ONCE, LACKING_SECONDS, Lacking, StoredPictures

log = structlog.get_logger()


class Comparing(ChoreTurns):
    """Carries on one comparison: each step is a transaction that holds the lease."""

    kind = CHORES[COMPARE]

    def __init__(self, held: HeldLeases, store: ObjectStore, stop: StopFlag, *, alternating: bool) -> None:
        super().__init__(held, stop, alternating=alternating)
        self._store = store

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        (task,) = claim.tasks
        until, rest = self.slice_end(keeper), 0.0
        try:
            while not self._stop.asked and not keeper.fenced:
                if self._step(claim, task.subject):
                    return
                if time.monotonic() >= until or self.somebody_waits():
                    break
        except Lacking as reason:
            log.info("comparison_waits", comparison=task.subject, reason=str(reason))
            rest = LACKING_SECONDS
        except (Interrupted, Unavailable):
            raise
        except Exception as error:
            log.exception("comparison_failed", comparison=task.subject)
            self.charge(claim, "comparison_failed", error)
            return
        with self._database.session() as session:
            chores.release(session, claim.lease_id, after_seconds=rest)

    def _step(self, claim: WorkClaim, subject: str) -> bool:
        """Do the next thing; whether the chore is over, or another's."""
        with self._database.session() as session:
            if not chores.hold(session, claim.lease_id, [subject]):
                return True
            done = making.step(session, int(subject))
            if done.is_last:
                chores.done(session, claim.lease_id, [subject])
                log.info("atlases_compared", comparison=subject)
                return True
            if done.draw is None:
                chores.went_on(session, claim.lease_id, subject)
            crash_point("comparing")
        crash_point("compared")
        return done.draw is not None and self._draw(claim, subject, done.draw)

    def _draw(self, claim: WorkClaim, subject: str, asked: Pairs) -> bool:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pairs") as readers:
            stored = StoredPictures(self._database, self._store, readers)
            pictures = stored.of({digest for pair in asked.pairs for digest in (pair.a, pair.b)})
        data = drawing.encoded(drawn(asked.pairs, pictures))
        key = sheet_key(data, "jpg")
        self._store.put_under(key, data, drawing.MEDIA_TYPE)
        with self._database.session() as session:
            collected.enter(session)
            if not chores.hold(session, claim.lease_id, [subject]):
                return True
            making.add_sheet(session, asked, key)
            chores.went_on(session, claim.lease_id, subject)
        return False
