"""The wish to stop: set once by a signal, read between steps by everything that computes or waits."""

import threading
import time


class StopFlag:
    """Asked to stop, work in hand is given back at once; what is being delivered may still use the grace
    period."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._deadline = float("inf")

    def ask(self, grace_seconds: float) -> None:
        """Stop within `grace_seconds`. The first call sets the deadline; repeated calls change nothing."""
        if not self._asked.is_set():
            self._deadline = time.monotonic() + grace_seconds
            self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    @property
    def out_of_time(self) -> bool:
        """True once the grace period is over."""
        return time.monotonic() >= self._deadline

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; True when asked to stop meanwhile."""
        return self._asked.wait(seconds)
