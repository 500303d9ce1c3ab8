"""Keeping a lease: a thread renews it, learns what was canceled, and ends a process whose computation hangs.

Only the database's clock decides when a lease is over. But a worker that cannot reach the database must not
go on for ever: it fences itself, on its own monotonic clock, when no heartbeat has succeeded for a large
part of the lease. That check is done by the computing thread itself, so it works even while the heartbeat
thread waits for a dead server.
"""

import contextvars
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import structlog

from services.base.errors import Unavailable
from services.queue.leases import Pulse
from worker.leasing.hang_detection import HUNG_SECONDS, HangDetector
from worker.process.stopping import StopFlag

FENCE_SHARE = 0.8
"""Share of the lease without a heartbeat after which computing stops: another worker may soon hold the
items."""
_FINISHED_SECONDS = 1.0
HUNG_EXIT_CODE = 70

log = structlog.get_logger()


class Interrupted(Exception):
    """The computation of a batch has to end before its last step."""


class LeaseLost(Interrupted):
    """The items may belong to another worker by now; nothing may be changed any more."""


class EverythingCanceled(Interrupted):
    """Nobody wants any item of the running batch any longer."""


class Stopping(Interrupted):
    """The worker was asked to stop."""


class NoRoom(Interrupted):
    """The device's memory does not hold a suspended batch and another one."""


def exit_hung() -> None:
    """End this process without any cleanup, which would hang as well. The lease lapses and others take
    over."""
    faulthandler.dump_traceback(file=sys.stderr)
    os._exit(HUNG_EXIT_CODE)


class LeaseKeeper:
    """Holds one lease from its claim to its end. Use it as a context, or call `start` and `stop`.

    `pulse(steps)` renews the lease in the database and raises `Unavailable` when it cannot. `confirmed_at`
    is a monotonic time before the claim was sent: the lease cannot have begun earlier.
    """

    def __init__(
        self,
        pulse: Callable[[int], Pulse],
        *,
        lease_seconds: float,
        heartbeat_seconds: float,
        confirmed_at: float,
        stop: StopFlag,
        hung_seconds: float = HUNG_SECONDS,
        on_hung: Callable[[], None] = exit_hung,
    ) -> None:
        self._pulse = pulse
        self._lease_seconds = lease_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._confirmed_at = self.claimed_at = confirmed_at
        self._stop = stop
        self._hang_detector = HangDetector(hung_seconds)
        self._on_hung = on_hung
        self._gone = False
        self._canceled: frozenset[str] = frozenset()
        self._running: frozenset[str] = frozenset()
        self._steps = 0
        self._ended = threading.Event()
        context = contextvars.copy_context()  # so that its log lines name the lease too
        self._thread = threading.Thread(target=context.run, args=(self._beat,), name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the heartbeat. Does not wait for a pulse that is on its way to a dead server."""
        self._ended.set()

    @property
    def canceled(self) -> frozenset[str]:
        """Digests that were canceled since the claim."""
        return self._canceled

    @property
    def fenced(self) -> bool:
        """Computing on is pointless: the lease is gone, or may be before the result is ready."""
        return self._gone or time.monotonic() - self._confirmed_at > FENCE_SHARE * self._lease_seconds

    @property
    def may_finish(self) -> bool:
        """Delivering is worth a try. The database has the last word, so a late try does no harm."""
        in_time = time.monotonic() - self._confirmed_at <= self._lease_seconds
        return in_time and not self._gone and not self._stop.out_of_time

    def check(self) -> None:
        """Raise the `Interrupted` that applies, if any."""
        if self._stop.asked:
            raise Stopping
        if self.fenced:
            raise LeaseLost
        if self._running and self._canceled >= self._running:
            raise EverythingCanceled

    def step(self) -> None:
        """One more step was computed. Raises `Interrupted`."""
        self._steps += 1
        self.tick()

    def tick(self) -> None:
        """Something of the batch was done, if not a whole step of it. Raises `Interrupted`."""
        self._hang_detector.tick()
        self.check()

    @contextmanager
    def computing(self, digests: Iterable[str]) -> Iterator[None]:
        """While this is open, these items are computed: `step` and `tick` raise once all of them are
        canceled, and when neither is called for too long at the pace so far, the process ends.

        They may be fewer than the lease's: some were given back, others computed in an earlier part of it.
        """
        self._running = frozenset(digests)
        try:
            with self._hang_detector.computing():
                self.check()
                yield
        finally:
            self._running = frozenset()

    def loading(self) -> AbstractContextManager[None]:
        """While this is open, the calling thread loads what the batch needs; it hangs when it does
        nothing."""
        return self._hang_detector.busy()

    def watched(self) -> AbstractContextManager[None]:
        """While this is open, something is computed that has no steps, and is seen through even where the
        lease has to end: nothing is raised, and where it hangs the process ends."""
        return self._hang_detector.computing()

    def suspended(self) -> AbstractContextManager[None]:
        """While this is open, the batch rests: the lease is kept, and no progress is expected."""
        return self._hang_detector.suspended()

    def _beat(self) -> None:
        pause = self._heartbeat_seconds
        while not self._ended.wait(pause):
            if self._hang_detector.hangs:
                log.critical("computation_hangs", steps=self._steps, seconds=round(self._hang_detector.limit))
                self._on_hung()
                return
            sent_at = time.monotonic()
            try:
                pulse = self._pulse(self._steps)
            except Unavailable as error:
                log.warning("heartbeat_failed", reason=str(error))
                pause = self._heartbeat_seconds / 4
                continue
            except Exception:  # a lease must not lapse because of one
                log.exception("heartbeat_failed")
                pause = self._heartbeat_seconds / 4
                continue
            pause = self._heartbeat_seconds
            if not pulse.alive:
                self._gone = True
                # Else it was finished while this pulse was on its way, which this thread hears a bit later.
                if not self._ended.wait(_FINISHED_SECONDS):
                    log.warning("lease_lost")
                return
            self._confirmed_at = sent_at
            self._canceled |= pulse.canceled
