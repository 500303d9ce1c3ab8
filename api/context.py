"""Connections and state that all requests of an application share. Made once by `create_app`, so that nothing
is a module-level client and a test has its own.
"""

import shutil
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from api.aside import Aside
from api.memory import Memory
from api.monitoring.prometheus import Metrics
from services.base.broker import Doorbell
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore

_EXTENSION = "imago"


@dataclass(frozen=True)
class Context:
    """The connections and the shared state of one application."""

    settings: Settings
    database: Database
    store: ObjectStore
    doorbell: Doorbell
    metrics: Metrics
    waits: threading.Semaphore
    """Limits the requests that wait for a job (`Prefer: wait`) at the same time."""
    store_reads: threading.Semaphore
    """Limits the requests that read from the store at the same time: a store that says nothing must not hold
    the threads of all requests."""
    renditions: threading.Semaphore
    """Limits the requests that make a picture in another size or format at the same time: it is CPU time,
    which all others wait for."""
    stopping: threading.Event
    """Set when the server is to end: requests that wait are answered as things stand."""
    orders: Memory[tuple[object, ...], Sequence[int]]
    """In which order grids show their units, so that who scrolls on does not have them sorted again."""
    aside: Aside
    """What is made ready while nobody waits for it."""
    objects: Memory[str, bytes] | None
    """Objects that were read and checked, by their keys; None to read each from the store."""

    def store_room(self) -> int | None:
        """Bytes that the store has left, None where this machine does not see its files."""
        folder = self.settings.store_folder
        with suppress(OSError):
            return None if folder is None else shutil.disk_usage(folder).free
        return None

    def close(self) -> None:
        """Close the connections."""
        self.aside.close()
        self.database.dispose()
        self.doorbell.close()


def install(app: Flask, made: Context) -> None:
    """Give an application its context."""
    app.extensions[_EXTENSION] = made


def context(app: Flask | None = None) -> Context:
    """The context of the application, by default of the one that handles the current request."""
    return cast(Context, (app or current_app).extensions[_EXTENSION])
