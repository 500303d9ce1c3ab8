"""What the parent process does beside Celery: it passes the stop on, ends in time, and starts anew when
nobody else would."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType

import structlog
from celery.apps.worker import Worker
from celery.worker import WorkController, state

from worker.process.child import STOP_SIGNAL
from worker.process.stopping import StopFlag

WATCH_SECONDS = 5.0
STOP_SHARE = 0.9
"""Share of `stop_seconds` after which the parent no longer waits for its child, nor for Celery."""
AFTERWARDS_SECONDS = 1.5
"""How long Celery may take to end once the child is gone. It talks to the broker then, which may be away."""
AGAIN_SECONDS = 0.25
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
log = structlog.get_logger()


def watch_over(worker: Worker, stop_seconds: float) -> None:
    """Follow this worker's pool from its start to its end, which takes `stop_seconds` at most once it is
    asked for. Call it before Celery has installed its signal handlers."""
    stop = StopFlag()

    def pass_the_stop_on(number: int, frame: FrameType | None) -> None:
        """A warm shutdown waits for the running task, but tells it nothing. The child stops between two
        steps.

        Celery's own handler is not called: it takes a lock, and a second signal in the midst of the first
        would wait for that lock for ever. This one takes none.
        """
        stop.ask(STOP_SHARE * stop_seconds)
        # What Celery's handler comes to in the end; its stub knows None only.
        setattr(state, "should_stop", 0)  # noqa: B010
        _send(worker, STOP_SIGNAL)

    def install(instance: WorkController) -> None:
        type(worker).install_platform_tweaks(worker, instance)
        for number in _STOPPING:
            signal.signal(number, pass_the_stop_on)

    worker.install_platform_tweaks = install  # type: ignore[assignment, method-assign]
    threading.Thread(target=_watch, args=(worker, stop), name="watch", daemon=True).start()


def _watch(worker: Worker, stop: StopFlag) -> None:
    """Start anew when a dead child is not replaced, until the stop is asked for; then see to the end.

    Celery replaces it from its event loop, which stands still while the broker cannot be reached: a child
    lost then would be missed until the broker is back, though the work is in SQL. The same process id goes
    on with a new program.
    """
    missed: set[int] = set()
    while not stop.wait(WATCH_SECONDS):
        dead = {pid for pid in _children(worker) if _is_dead(pid)}
        if dead & missed:
            log.warning("child_not_replaced", pids=sorted(dead))
            sys.stderr.flush()
            os.execv(sys.executable, [sys.executable, "-m", "worker"])
        missed = dead
    _see_to_the_end(worker, stop)


def _see_to_the_end(worker: Worker, stop: StopFlag) -> None:
    """Celery ends its child and itself, unless it waits for a broker, or the machine is too busy: then this
    does. What the child had in hand it has given back by then, or nobody can."""
    while not stop.out_of_time and not all(_is_dead(pid) for pid in _children(worker)):
        _send(worker, STOP_SIGNAL)  # again: a child that is only starting does not hear the first one
        time.sleep(AGAIN_SECONDS)
    time.sleep(min(AFTERWARDS_SECONDS, stop.seconds_left))
    _send(worker, signal.SIGKILL)
    log.info("worker_ended_by_its_watch")
    sys.stderr.flush()
    os._exit(0)


def _send(worker: Worker, number: signal.Signals) -> None:
    for pid in _children(worker):
        if not _is_dead(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _children(worker: Worker) -> list[int]:
    # Celery's pool and billiard's inside it; either is None before its start and after its end.
    pool = getattr(getattr(worker, "pool", None), "_pool", None)
    # The pool lists a child before it is started, when it has no id yet.
    return [process.pid for process in list(pool._pool) if process.pid] if pool is not None else []


def _is_dead(pid: int) -> bool:
    """Without reaping it, which is the pool's business."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
