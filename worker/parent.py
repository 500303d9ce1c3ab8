"""What the parent process does beside Celery: it passes the stop on, and starts anew when nobody else
would."""

import os
import sys
import threading

import billiard
import structlog
from celery import signals
from celery.apps.worker import Worker

from worker.child import STOP_SIGNAL

WATCH_SECONDS = 5.0
log = structlog.get_logger()
_stopping = threading.Event()


def watch_over(worker: Worker) -> None:
    """Follow this worker's pool from its start to its end. Call it before the pool is started."""
    signals.worker_shutting_down.connect(_pass_the_stop_on)
    threading.Thread(target=_watch, args=(worker,), name="watch", daemon=True).start()


def _pass_the_stop_on(**_: object) -> None:
    """A warm shutdown waits for the running task, but tells it nothing. The child stops between two steps."""
    _stopping.set()
    for process in billiard.active_children():
        if process.pid is not None:
            os.kill(process.pid, STOP_SIGNAL)


def _watch(worker: Worker) -> None:
    """Start anew when a dead child is not replaced.

    Celery replaces it from its event loop, which stands still while the broker cannot be reached: a child
    lost then would be missed until the broker is back, though the work is in SQL. The same process id goes
    on with a new program.
    """
    missed: set[int] = set()
    while not _stopping.wait(WATCH_SECONDS):
        dead = {pid for pid in _children(worker) if _is_dead(pid)}
        if dead & missed:
            log.warning("child_not_replaced", pids=sorted(dead))
            sys.stderr.flush()
            os.execv(sys.executable, [sys.executable, "-m", "worker"])
        missed = dead


def _children(worker: Worker) -> list[int]:
    pool = getattr(worker, "pool", None)
    return list(pool.info["processes"]) if pool is not None else []


def _is_dead(pid: int) -> bool:
    """Without reaping it, which is the pool's business."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
