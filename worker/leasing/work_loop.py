"""The one thread that works: it looks for work when the doorbell rings, and by itself when it does not."""

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from services.base.database import Database
from services.base.errors import Unavailable
from services.queue.leases import expired_kinds
from services.queue.reconciliation import reconcile
from services.queue.registry import KINDS
from worker.leasing.retries import keep_trying
from worker.leasing.work_kinds import WorkKind
from worker.process.stopping import StopFlag

NOTICE_SECONDS = 0.5
"""A stop may be asked for by a signal handler, which must not take the lock of a condition: waits look this
often."""
SETTLING_SECONDS = 0.5
log = structlog.get_logger()


class WorkLoop:
    """Looks for work every `poll_seconds`, whether or not the broker lives, and at once when `answer` is
    called.

    One thread does all of it, so that the device, and torch's threads, have one owner.
    """

    def __init__(
        self,
        kinds: Sequence[WorkKind],
        *,
        database: Database,
        poll_seconds: float,
        ring: Callable[[], object],
        stop: StopFlag,
        give_back_owed: Callable[[], None],
        may_judge: Callable[[], bool] = lambda: True,
    ) -> None:
        """`kinds` in their order of precedence: after each piece of work the first is asked again. `ring`
        wakes other workers; it is called when there is again something to claim. `may_judge`: whether a lease
        that has expired is that of a dead worker; if not, it is left as it is for now. `give_back_owed` frees
        what could not be freed while the database was away; it raises `Unavailable` if it still is."""
        self._database = database
        self._kinds = tuple(kinds)
        self._poll_seconds = poll_seconds
        self._ring = ring
        self._stop = stop
        self._may_judge = may_judge
        self._give_back_owed = give_back_owed
        self._changed = threading.Condition()
        self._rings = 0
        self._answered = 0
        self._ended = False
        self._next_reconcile = 0.0

    def answer(self) -> None:
        """Look for work now, and return when there is none left or the worker stops.

        Any number of rings during one look cost one more look.
        """
        for kind in self._kinds:
            kind.ring()
        with self._changed:
            self._rings += 1
            ring = self._rings
            self._changed.notify_all()
            while self._answered < ring and not self._ended and not self._stop.asked:
                self._changed.wait(NOTICE_SECONDS)

    def run(self) -> None:
        """Work until asked to stop; then give back what is in hand, see the last delivery through and
        return."""
        try:
            while not self._stop.asked:
                ring = self._rings
                if not self._look():
                    self._rest(ring)
            for kind in self._kinds:
                kind.settle()
            self._give_back_at_last()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _look(self) -> bool:
        """One piece of work. False if there is none, or no server that would tell."""
        try:
            self._give_back_owed()  # before the reconciler takes it for the work of a crash
            self._tend()
            return any(kind.look(self._tend) for kind in self._kinds)
        except Unavailable as error:
            log.warning("server_away", what="look", reason=str(error))
        except Exception:
            # A defect must not end the loop: what it concerns lapses with its lease and is counted there.
            log.exception("look_failed")
        return False

    def _give_back_at_last(self) -> None:
        """As long as there is time, give back what could not be given back before."""
        try:
            keep_trying(
                self._give_back_owed,
                what="release",
                may_go_on=lambda: not self._stop.out_of_time,
                wait=time.sleep,
            )
        except Unavailable as error:
            log.warning("release_failed", reason=str(error))  # the leases lapse

    def _tend(self) -> None:
        if time.monotonic() >= self._next_reconcile:
            self._reconcile()

    def _reconcile(self) -> None:
        """Free what dead workers held. Also between batches and during a training: when all workers are busy
        nobody is ever idle."""
        self._next_reconcile = time.monotonic() + self._poll_seconds
        due, again = set[str](), False
        if self._may_judge():
            with self._database.session() as session:
                due = expired_kinds(session)
        for kind in KINDS:
            if kind.name not in due:
                continue
            with self._database.session() as session:
                done = reconcile(session, kind)
            again |= done.requeued > 0
            if done.expired_leases:
                log.info("reconciled", kind=kind.name, **vars(done))
        try:
            for work in self._kinds:
                work.tidy()
        except Unavailable as error:  # no reason to leave the work that there is
            log.warning("server_away", what="tidy", reason=str(error))
        if again:
            self._ring()

    def _rest(self, ring: int) -> None:
        """Sleep until the next ring or look. All rings up to `ring` were heard before the last look."""
        # What is still being delivered may come back, and a training waits for its end.
        settled = all(kind.settled for kind in self._kinds)
        until = time.monotonic() + (self._poll_seconds if settled else SETTLING_SECONDS)
        with self._changed:
            self._answered = ring
            self._changed.notify_all()
            while self._rings == ring and not self._stop.asked and (left := until - time.monotonic()) > 0:
                self._changed.wait(min(left, NOTICE_SECONDS))
