"""Telling a computation that hangs from one that is slow: by the pace that it has shown itself."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HUNG_SECONDS = 600.0
"""Without any progress for so long, what has shown no slower pace than that is taken to hang for ever (a hung
driver, a dead GPU)."""
FIRST = 6
"""What nothing is known of yet may take so many times as long: first calls compile, tune and load, and a busy
machine makes that slow."""
TIMES_SLOWEST = 20
"""So many times as long as the slowest step so far may a step take."""


class HangDetector:
    """Watches how what is done now gets on. The thread that does it reports, another one asks whether it
    `hangs`."""

    def __init__(self, hung_seconds: float = HUNG_SECONDS) -> None:
        self._least = hung_seconds
        self._since: float | None = None  # the last sign of progress; None while nothing could hang
        self._slowest: float | None = None
        self._thread: int | None = None  # the one whose processor time is progress
        self._used = 0

    @property
    def limit(self) -> float:
        """Seconds without progress after which it hangs."""
        if self._slowest is None:
            return FIRST * self._least
        return max(self._least, TIMES_SLOWEST * self._slowest)

    @property
    def hangs(self) -> bool:
        since = self._since
        if since is None:
            return False
        if self._thread is not None and (used := _processor_time(self._thread)) > self._used:
            self._used = used
            self._since = time.monotonic()
            return False
        return time.monotonic() - since > self.limit

    def tick(self) -> None:
        """A step is done."""
        since, now = self._since, time.monotonic()
        if since is not None:
            self._slowest = max(self._slowest or 0.0, now - since)
            self._since = now

    @contextmanager
    def computing(self) -> Iterator[None]:
        """While this is open, `tick` is called again and again, or it hangs."""
        self._since, self._slowest = time.monotonic(), None
        try:
            yield
        finally:
            self._since = None

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While this is open, the calling thread downloads, reads or makes something without steps: it gets
        on while it uses the processor at all."""
        self._slowest, self._used = None, 0
        self._since, self._thread = time.monotonic(), threading.get_native_id()
        try:
            yield
        finally:
            self._since = self._thread = None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """While this is open, something else is done, and no progress is expected."""
        since, self._since = self._since, None
        began = time.monotonic()
        try:
            yield
        finally:
            self._since = None if since is None else since + time.monotonic() - began


def _processor_time(thread: int) -> int:
    """Clock ticks that a thread of this process has computed; where the system does not say, always more."""
    try:
        after_name = Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()
        return int(after_name[11]) + int(after_name[12])  # utime and stime, see proc(5)
    except (OSError, ValueError, IndexError):
        return time.monotonic_ns()
