"""The HTTP server: uvicorn, in one process or several.

Chosen because a connection costs no thread in it, so that many slow ones, and later many streams of events,
leave room for everyone else; what it lacks, limits on time and size, `api.edge.connection` adds.
docs/serving.md compares it with others.
"""

import logging
import os
import resource
import shutil
import signal
import tempfile
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from api.edge import limits
from services.base.settings import Settings

_COUNTS = "PROMETHEUS_MULTIPROC_DIR"
"""Where processes keep their counts, so that each can answer for all."""
_COUNTS_MADE = "IMAGO_API_COUNTS_MADE"
"""The same folder where it was made here, and is to be removed at the end."""


def serve(settings: Settings, *, host: str, port: int, workers: int, threads: int) -> None:
    """Serve until SIGTERM or SIGINT; requests that run are given 10 s to end."""
    _allow_connections(workers)
    # uvicorn repeats the signal when it has ended in good order; that is no reason to die of it.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # requests are logged by api.http.request_log
    if workers == 1:
        # Not at the top: prometheus_client decides when it is imported whether processes count together.
        from api.edge.application import Edge

        _run(uvicorn.Server(_configuration(Edge(settings, threads=threads), host, port)))
        return
    if _COUNTS not in os.environ:
        os.environ[_COUNTS] = os.environ[_COUNTS_MADE] = tempfile.mkdtemp(prefix="imago-metrics-")
    os.environ["IMAGO_API_THREADS"] = str(threads)
    try:
        configuration = _configuration(
            "api.child:from_environment", host, port, workers=workers, factory=True
        )
        Multiprocess(configuration, sockets=[configuration.bind_socket()]).run()
    finally:
        remove_counts()


def remove_counts() -> None:
    """Remove the folder of counts, where it was made here. Children do so when their parent was killed."""
    if made := os.environ.get(_COUNTS_MADE):
        shutil.rmtree(made, ignore_errors=True)


def _run(server: uvicorn.Server) -> None:
    try:
        server.run()
    except KeyboardInterrupt:
        # As with SIGTERM: repeated by uvicorn after an end in good order.
        return


def _configuration(app: Any, host: str, port: int, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http="api.edge.connection:LimitedProtocol",
        loop="uvloop",
        ws="none",
        lifespan="on",
        timeout_keep_alive=limits.IDLE_SECONDS,
        timeout_graceful_shutdown=limits.STOP_SECONDS,
        # A proxy on this machine may say who asks and how; others are named in FORWARDED_ALLOW_IPS.
        proxy_headers=True,
        forwarded_allow_ips=os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1"),
        server_header=False,
        access_log=False,
        log_config=None,
        **more,
    )


def _allow_connections(workers: int) -> None:
    """Ask for as many open files as the connections may need; the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS + 512
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
