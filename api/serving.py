"""The HTTP server: gunicorn with threads.

Threads, because requests wait (for the database, the store, or with `Prefer: wait` for a job) much more
than they compute.
"""

import os
import shutil
import tempfile
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from services.settings import Settings

_COUNTS = "PROMETHEUS_MULTIPROC_DIR"
"""Where processes keep their counts, so that each can answer for all."""


class Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, settings: Settings, options: dict[str, Any]) -> None:
        self._settings = settings
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called in each worker after the fork: a database connection must never be shared by two
        processes.
        """
        from api.application import create_app

        return create_app(self._settings, threads=self._options["threads"])


def serve(settings: Settings, *, host: str, port: int, workers: int, threads: int) -> None:
    """Serve until SIGTERM or SIGINT; requests that run are given 30 s to end."""
    made: str | None = None
    if workers > 1 and _COUNTS not in os.environ:
        made = tempfile.mkdtemp(prefix="imago-metrics-")
        # Read when prometheus_client is first imported, which happens in the workers.
        os.environ[_COUNTS] = made
    options: dict[str, Any] = {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "worker_class": "gthread",
        "workers": workers,
        "threads": threads,
        # Heartbeats of a worker's own files: on a disk they can block for longer than the timeout.
        "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,
        "graceful_timeout": 30,
        "timeout": 90,  # more than the longest `Prefer: wait`
        "keepalive": 15,
        "child_exit": _forget_process,
        "loglevel": "warning",  # requests are logged by api.request_log
        "proc_name": "imago-api",
    }
    if made:
        # A hook, not a `finally`: that would run in each worker too, which leaves through the same frames.
        options["on_exit"] = lambda arbiter: shutil.rmtree(made, ignore_errors=True)
    Server(settings, options).run()


def _forget_process(arbiter: object, worker: Any) -> None:
    if _COUNTS in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
