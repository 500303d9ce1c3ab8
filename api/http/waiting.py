"""`Prefer: wait=N` (RFC 7240): hold the answer back until a job has ended, at most N seconds.

Each look is a transaction of its own, so that a waiting request holds no connection. Waiting requests may
hold only some of the server's threads; beyond that the preference is ignored, as RFC 7240 allows, and the
client polls.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

MAXIMUM_SECONDS = 60
AT_ONCE_SECONDS = 2.0
"""For how long a request itself publishes, lets go of what waits or sorts; workers do the rest."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0


def readable(prefer: str | None) -> str | None:
    """The header itself. Raises `ValueError` for a `wait` that is no number of seconds: other preferences may
    be ignored (RFC 7240 §2), but whoever wrote that one means something by it.
    """
    preferred_wait(prefer)
    return prefer


def preferred_wait(prefer: str | None) -> int:
    """Seconds that the client is ready to wait, 0 to 60; 0 if it does not say."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            digits = value.strip().strip('"')
            if not (digits.isascii() and digits.isdecimal()):
                raise ValueError(f"has a wait that must be whole seconds, as in wait=30; got {digits!r:.40}")
            return min(int(digits[:10]), MAXIMUM_SECONDS)
    return 0


def wait_for(
    look: Callable[[], T],
    is_over: Callable[[T], bool],
    seconds: float,
    places: threading.Semaphore,
    stopping: threading.Event,
) -> T:
    """Look again and again until it is over, the time is up or the server is stopping, once if no place is
    free; return what was seen last.
    """
    seen = look()
    if seconds <= 0 or is_over(seen) or not places.acquire(blocking=False):
        return seen
    try:
        deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while not is_over(seen) and (left := deadline - time.monotonic()) > 0:
            if stopping.wait(min(pause, left)):
                break
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            seen = look()
        return seen
    finally:
        places.release()
