"""The wish to stop: set once by a signal, read between steps by everything that computes or waits."""

import math
import time

NOTICE_SECONDS = 0.1
"""How long a wait may take to notice that a stop was asked for."""


class StopFlag:
    """Asked to stop, work in hand is given back at once; what is being delivered may still use the grace
    period.

    No lock, and so no `threading.Event`: signal handlers call `ask`, and one that interrupts another while it
    holds the lock of an event would wait for it for ever.
    """

    def __init__(self) -> None:
        self._deadline: float | None = None

    def ask(self, grace_seconds: float) -> None:
        """Stop within `grace_seconds`. The first call sets the deadline; repeated calls change nothing."""
        if self._deadline is None:
            self._deadline = time.monotonic() + grace_seconds

    @property
    def asked(self) -> bool:
        return self._deadline is not None

    @property
    def seconds_left(self) -> float:
        """Of the grace period; infinity while no stop is asked for, 0 once it is over."""
        return math.inf if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def out_of_time(self) -> bool:
        """True once the grace period is over."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; True when asked to stop meanwhile."""
        until = time.monotonic() + seconds
        while not self.asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, NOTICE_SECONDS))
        return self.asked
