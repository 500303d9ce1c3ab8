"""The one thread that works: it looks for work when the doorbell rings, and by itself when it does not."""

import threading
import time
from collections.abc import Callable

import structlog

from services.base.database import Database
from services.base.errors import Unavailable
from services.queue.reconciliation import reconcile
from services.queue.registry import KINDS
from worker.batches.runner import BatchRunner
from worker.inspecting.inspector import Inspector
from worker.process.stopping import StopFlag
from worker.trainings.trainer import Trainer
from worker.upkeep.chores import Upkeep

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
        *,
        database: Database,
        runner: BatchRunner,
        inspector: Inspector,
        trainer: Trainer,
        upkeep: Upkeep,
        poll_seconds: float,
        ring: Callable[[], object],
        stop: StopFlag,
    ) -> None:
        """`ring` wakes other workers; it is called when there is again something to claim."""
        self._database = database
        self._runner = runner
        self._inspector = inspector
        self._trainer = trainer
        self._upkeep = upkeep
        self._poll_seconds = poll_seconds
        self._ring = ring
        self._stop = stop
        self._changed = threading.Condition()
        self._rings = 0
        self._answered = 0
        self._ended = False
        self._next_reconcile = 0.0

    def answer(self) -> None:
        """Look for work now, and return when there is none left or the worker stops.

        Any number of rings during one look cost one more look.
        """
        self._runner.ring()
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
            self._runner.settle()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _look(self) -> bool:
        """One piece of work. False if there is none, or no server that would tell."""
        try:
            self._runner.give_back_owed()  # before the reconciler takes it for the work of a crash
            self._tend()
            return (
                self._inspect()
                or self._upkeep.repair_in_turn()
                or self._runner.run_batch()
                or self._upkeep.repair()
                or self._upkeep.look_after_store()
                or self._train()
            )
        except Unavailable as error:
            log.warning("server_away", what="look", reason=str(error))
        except Exception:
            # A defect must not end the loop: what it concerns lapses with its lease and is counted there.
            log.exception("look_failed")
        return False

    def _inspect(self) -> bool:
        return self._inspector.inspect_one(serve=self._runner.run_interactive, tend=self._tend)

    def _train(self) -> bool:
        """A slice of a training, once nothing else waits and what was computed is delivered."""
        if not self._runner.settled:
            return False
        return self._trainer.train_one(serve=self._serve, tend=self._tend)

    def _serve(self) -> None:
        """All the work that goes before a training."""
        while not self._stop.asked and (self._inspect() or self._runner.run_batch() or self._upkeep.repair()):
            self._tend()

    def _tend(self) -> None:
        if time.monotonic() >= self._next_reconcile:
            self._reconcile()

    def _reconcile(self) -> None:
        """Free what dead workers held. Also between batches and during a training: when all workers are busy
        nobody is ever idle."""
        self._next_reconcile = time.monotonic() + self._poll_seconds
        again = False
        for kind in KINDS:
            with self._database.session() as session:
                done = reconcile(session, kind)
            again |= done.requeued > 0
            if done.expired_leases:
                log.info("reconciled", kind=kind.name, **vars(done))
        try:
            self._trainer.tidy()
            self._upkeep.tidy()
        except Unavailable as error:  # no reason to leave the work that there is
            log.warning("server_away", what="tidy", reason=str(error))
        if again:
            self._ring()

    def _rest(self, ring: int) -> None:
        """Sleep until the next ring or look. All rings up to `ring` were heard before the last look."""
        # What is still being delivered may come back, and a training waits for its end.
        until = time.monotonic() + (self._poll_seconds if self._runner.settled else SETTLING_SECONDS)
        with self._changed:
            self._answered = ring
            self._changed.notify_all()
            while self._rings == ring and not self._stop.asked and (left := until - time.monotonic()) > 0:
                self._changed.wait(min(left, NOTICE_SECONDS))
