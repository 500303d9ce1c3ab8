"""The pool's child process: the only one that imports torch and touches the device.

It is spawned, not forked, so it starts empty; everything that has a socket, a thread or a device is made
here.
"""

import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from services.base import log as logs
from services.base.settings import Settings
from worker.process.stopping import NOTICE_SECONDS, StopFlag

if TYPE_CHECKING:
    from worker.process.compose import Parts

GRACE_SHARE = 0.6
"""Share of `stop_seconds` for bringing home what can be: the last batch, or a checkpoint of a training. Where
that is not enough the items are given back, and a training goes on from its last checkpoint elsewhere."""
LAST_SHARE = 0.25
"""Share of it that giving back may take after that; a database that is away must not hold a process that is
to end."""
STOP_SIGNAL = signal.SIGURG
"""How the parent tells its child to stop. Ignored by default, so it does no harm to a child that is only
starting; billiard turns nearly every other signal into an immediate exit when it comes twice, as SIGTERM to
a whole process group and from the parent does."""

PARENT_SECONDS = 1.0
"""How often a child looks whether it still has its parent."""
log = structlog.get_logger()


class Child:
    """The life of one child process. Made and started once, in `start`; ended in `shut_down`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last_seconds = LAST_SHARE * settings.stop_seconds
        self._stop = StopFlag()
        self._ready = threading.Event()
        self._parts: Parts | None = None
        self._signs_off: Callable[[], None] | None = None
        self._parent = os.getppid()
        # Torch takes seconds to import: in the thread, so that the parent soon hears that its child is up.
        self._thread = threading.Thread(target=self._work, name="work", daemon=True)

    def start(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the parent decides, see STOP_SIGNAL
        signal.signal(STOP_SIGNAL, lambda signum, frame: self._ask())
        self._thread.start()
        threading.Thread(target=self._see_to_the_end, name="stop", daemon=True).start()

    def answer(self) -> None:
        """Answer a doorbell: returns when there is no work left, so that a busy worker leaves bells to idle
        ones, or when the worker is to stop, though a step be still running."""
        while not self._ready.wait(NOTICE_SECONDS) and not self._stop.asked:
            pass
        if self._parts is not None:
            self._parts.loop.answer()

    def shut_down(self) -> None:
        """Called on the way out. Returns when everything is given back, or time is up."""
        self._ask()
        if self._ready.is_set() or self._signs_off is not None:
            self._thread.join(self._stop.seconds_left + self._last_seconds)

    def _ask(self) -> None:
        self._stop.ask(GRACE_SHARE * self._settings.stop_seconds)

    def _see_to_the_end(self) -> None:
        """End this process in time once it is asked to stop: whatever the computing thread is in the midst of
        (a long step, an import, a download) and whatever the parent waits for."""
        while not self._stop.wait(PARENT_SECONDS):
            if os.getppid() != self._parent:
                log.warning("parent_gone")
                self._ask()
        self._thread.join(self._stop.seconds_left)
        if self._thread.is_alive():
            log.warning("stopped_in_mid_step")
            giving_back = threading.Thread(target=self._abandon, name="abandon", daemon=True)
            giving_back.start()
            giving_back.join(self._last_seconds)
        else:
            time.sleep(self._stop.seconds_left)  # the parent's pool likes to end its children itself
        sys.stderr.flush()
        os._exit(0)

    def _abandon(self) -> None:
        """Give back what is in hand, which nobody else will now."""
        if self._parts is not None:
            for kind in self._parts.kinds:
                kind.abandon()
        self._sign_off()

    def _work(self) -> None:
        try:
            self._compose()
        except Exception:
            log.critical("worker_cannot_start", exc_info=True)
            os._exit(1)  # the parent starts another child, which may find the servers up
        finally:
            self._ready.set()
        if self._parts is not None:
            try:
                self._parts.loop.run()
            except BaseException:
                log.critical("work_loop_ended", exc_info=True)
                os._exit(1)  # a worker that only seems to live would be worse than one that starts anew
        self._sign_off()

    def _compose(self) -> None:
        # What is imported (torch, timm) is a million objects that stay: the garbage collector would go
        # through them again and again, for a fifth of the time that a child takes to start.
        gc.disable()
        try:
            from worker.process.compose import compose
        finally:
            gc.freeze()
            gc.enable()
        self._parts = compose(self._settings, self._stop, self._seen)

    def _seen(self, sign_off: Callable[[], None]) -> None:
        self._signs_off = sign_off

    def _sign_off(self) -> None:
        if self._signs_off is not None:
            self._signs_off()


_child: Child | None = None


def start(**_: object) -> None:
    """Celery's `worker_process_init`: the child has just been spawned."""
    global _child
    settings = Settings()  # the entry point of this process
    logs.configure(settings.log_format, settings.log_level)
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)  # it reports every doorbell's end
    _child = Child(settings)
    _child.start()


def shut_down(**_: object) -> None:
    """Celery's `worker_process_shutdown`, in the child: the parent was asked to stop."""
    if _child is not None:
        _child.shut_down()


def answer() -> None:
    """Answer a doorbell in this process."""
    if _child is not None:
        _child.answer()
