"""One of several processes of the API, started by the one that keeps them (`api.serving`)."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from api.edge.application import Edge
from api.serving import remove_counts
from services.base.log import configure
from services.base.settings import Settings


def from_environment() -> Edge:
    """The application of such a process, with the settings of the environment."""
    settings = Settings()
    configure(settings.log_format, settings.log_level)
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    return Edge(settings, threads=int(os.environ["IMAGO_API_THREADS"]))


def _end_with(parent: BaseProcess) -> None:
    """End in good order once the parent is gone, killed perhaps: else this process would keep the port from
    whatever is started in its place. What the parent would have removed is removed."""
    wait([parent.sentinel])
    remove_counts()
    os.kill(os.getpid(), signal.SIGTERM)
