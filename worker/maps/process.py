"""The process that draws a map."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from services.base.errors import ImagoError

_ROOT = Path(__file__).resolve().parents[2]
_ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB", "BLIS")
"""Sums depend on how many threads share them, and the same units are to get the same map."""
_OURS = ("IMAGO_CRASH_AT", "IMAGO_CRASH_ONCE", "IMAGO_CRASH_HOW")
_STDERR = "stderr"


def can_draw() -> bool:
    """Whether the extra `map` is installed here."""
    return find_spec("umap") is not None


def _can_write_beside(package: str) -> bool:
    found = find_spec(package)
    if found is None or found.origin is None:
        return False
    folder = Path(found.origin).parent
    kept = folder / "__pycache__"
    return os.access(kept if kept.exists() else folder, os.W_OK)


class MapFailed(ImagoError):
    """It ended without a map; the message is for people."""


class MapProcess:
    """`python -m worker.maps.projection FOLDER`, tied to this process. Make it in a thread that lives as long
    as it should: the kernel ends it with that thread."""

    def __init__(self, folder: Path, compiled: Path) -> None:
        """`compiled`: where numba keeps compiled code for later maps if it cannot do so beside the libraries
        that it compiles, where all that run from one environment share it."""
        self._stderr = folder / _STDERR
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("IMAGO_") or name in _OURS
        }
        environment |= {f"{name}_NUM_THREADS": "1" for name in _ONE_THREAD}
        environment["IMAGO_PARENT"] = str(os.getpid())
        if not _can_write_beside("umap"):
            environment["NUMBA_CACHE_DIR"] = str(compiled)
        with self._stderr.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.process.parent_watch", "worker.maps.projection", str(folder)],
                cwd=_ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )

    def ended(self, seconds: float) -> bool:
        """Wait so long for it; whether it has ended well. Raises `MapFailed` if it ended otherwise."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        if code == -signal.SIGKILL:
            raise MapFailed("The process that draws it was killed, most likely because memory ran out.")
        if code != 0:
            raise MapFailed("The process that draws it failed; the reason is in the worker's log.")
        return True

    def kill(self) -> None:
        """End it, if it has not ended yet."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stderr_tail(self) -> str:
        """The end of what it wrote to stderr, for whoever runs the worker."""
        return self._stderr.read_text(errors="replace")[-4000:]
