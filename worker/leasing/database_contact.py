"""Whether the database has been answering for so long that whoever lives could renew its leases."""

import threading
import time


class DatabaseContact:
    """Told of each answer that a worker regularly asks for. Threads may share it.

    While the database is away no lease is renewed, and afterwards all of them look like those of dead workers
    until the living ones have been heard. An absence shorter than half a lease lets none lapse, since leases
    are renewed three times before they end; after a longer one half a lease is time enough to be heard.
    """

    def __init__(self, lease_seconds: float) -> None:
        self._half = lease_seconds / 2
        self._lock = threading.Lock()
        self._since: float | None = None
        self._last = 0.0

    def answered(self) -> None:
        """The database has answered just now."""
        now = time.monotonic()
        with self._lock:
            if self._since is None or now - self._last > self._half:
                self._since = now
            self._last = now

    @property
    def steady(self) -> bool:
        """Whether it has been answering for half a lease, and did lately: a lease that has expired by now is
        that of a dead worker."""
        with self._lock:
            if self._since is None or time.monotonic() - self._last > self._half:
                return False
            return self._last - self._since >= self._half
