"""A gentle limit on failed attempts to sign in, by the address that they come from.

No secret of 256 bits is guessed, however often one tries; this keeps a script that tries from filling the log
and from taking the database's time. Each process counts for itself.
"""

import math
import threading
import time
from collections import deque

from cachetools import LRUCache

MOST, SECONDS = 10, 60.0
"""Failures that an address may have within so many seconds."""
_ADDRESSES = 10_000


class Attempts:
    """Failed attempts of the last minute."""

    def __init__(self) -> None:
        self._failed: LRUCache[str, deque[float]] = LRUCache(_ADDRESSES)
        self._lock = threading.Lock()

    def wait_of(self, address: str) -> int:
        """Seconds until the address may try again, 0 for now."""
        with self._lock:
            failed = self._failed.get(address)
            now = time.monotonic()
            if failed is None or len(failed) < MOST:
                return 0
            return max(0, math.ceil(failed[0] + SECONDS - now))

    def note_failure(self, address: str) -> None:
        """Count a failure."""
        with self._lock:
            self._failed.setdefault(address, deque(maxlen=MOST)).append(time.monotonic())

    def forget(self, address: str) -> None:
        """Count no failures of an address that has succeeded."""
        with self._lock:
            self._failed.pop(address, None)
