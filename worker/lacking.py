"""What this worker could not load a moment ago, and leaves for a while to workers that may have it."""

import threading
import time
from collections.abc import Collection

LEFT_SECONDS = 60.0
"""How long nothing is claimed that needs it."""
TOLD_SECONDS = 2 * LEFT_SECONDS
"""How long others are told of it: until after the next try."""
_LONGEST_REASON = 2000


class Lacking:
    """By `kind:id`, the kinds being network and generator. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._left_until: dict[str, float] = {}
        self._reasons: dict[str, str] = {}

    def note(self, key: str, reason: str, *, leave: bool) -> None:
        """It could not be loaded here just now, for a reason that is for people; whether to leave it to
        others."""
        now = time.monotonic()
        with self._lock:
            self._since[key], self._reasons[key] = now, reason
            self._left_until[key] = now + LEFT_SECONDS if leave else now

    def found(self, key: str) -> None:
        """It could be loaded."""
        with self._lock:
            self._forget(key)

    @property
    def left(self) -> Collection[str]:
        """What is left to others now."""
        now = time.monotonic()
        with self._lock:
            return [key for key, until in self._left_until.items() if now < until]

    @property
    def told(self) -> Collection[str]:
        """What others are told that this worker lacks."""
        with self._lock:
            self._forget_old()
            return list(self._reasons)

    @property
    def reason(self) -> str | None:
        """Why some work is not done here; None while all can be."""
        with self._lock:
            self._forget_old()
            return " ".join(self._reasons.values())[:_LONGEST_REASON] or None

    def _forget_old(self) -> None:
        now = time.monotonic()
        for key in [key for key, since in self._since.items() if now >= since + TOLD_SECONDS]:
            self._forget(key)

    def _forget(self, key: str) -> None:
        for noted in (self._since, self._left_until, self._reasons):
            noted.pop(key, None)
