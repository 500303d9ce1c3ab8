"""The folder of a training: what lies in it beside what its journal writes, and whose it is."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imago_engine.training_jobs import CHECKPOINT

PREPARED = "prepared"

__all__ = ["CHECKPOINT", "PREPARED", "FolderInUse", "occupied"]


class FolderInUse(RuntimeError):
    """Another process trains in this folder."""


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process and write its id to `folder/pid`. Raises FolderInUse when another
    process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pid"
    with path.open("a+") as handle:
        try:
            fcntl.flock(
                handle, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # the kernel lets go of it when the process dies
        except BlockingIOError as error:
            raise FolderInUse(
                f"{folder} is in use by the training with process id {path.read_text().strip()}"
            ) from error
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield
