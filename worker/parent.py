"""What the parent process does beside Celery: it passes the stop on, and starts anew when nobody else
would."""

import os
import sys
import threading
from contextlib import suppress

import structlog
from celery import signals
from celery.apps.worker import Worker

from worker.child import STOP_SIGNAL
from worker.stopping import StopFlag

WATCH_SECONDS = 5.0
log = structlog.get_logger()


def watch_over(worker: Worker) -> None:
    """Follow this worker's pool from its start to its end. Call it before the pool is started."""
    stop = StopFlag()

    def pass_the_stop_on(**_: object) -> None:
        """A warm shutdown waits for the running task, but tells it nothing. The child stops between two
        steps.

        This runs in a signal handler, which a second SIGTERM may interrupt at any place: it must take no
        lock.
        """
        stop.ask(grace_seconds=0)
        for pid in _children(worker):
            with suppress(ProcessLookupError):
                os.kill(pid, STOP_SIGNAL)

    signals.worker_shutting_down.connect(pass_the_stop_on, weak=False)
    threading.Thread(target=_watch, args=(worker, stop), name="watch", daemon=True).start()


def _watch(worker: Worker, stop: StopFlag) -> None:
    """Start anew when a dead child is not replaced.

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
