"""The cache of API keys that were looked up in the last 30 s, for answers that come from memory.

Only reading what is in memory goes by this; whatever reaches Flask, all writes among it, looks the key up.
"""

import hashlib
import time
from datetime import UTC, datetime

from api.memory import Memory
from services.access.keys import Principal

SECONDS = 30.0
"""For how long a key is trusted, and so how long a revoked one may still read what others have read."""
_KEYS = 8192


class TrustedKeys:
    """By the hash of the header that named them: the memory of a process holds no secret for longer."""

    def __init__(self) -> None:
        self._known = Memory[bytes, tuple[Principal, float]](_KEYS)
        self.clears = 0
        """How often all trust was taken back: what was looked up before that counts no more."""

    def now(self) -> float:
        """The moment before a look-up, for `remember`."""
        return time.monotonic()

    def remember(self, authorization: bytes, principal: Principal, *, looked_up_at: float) -> None:
        """`principal` is whom the database named for this header, at a monotonic time or later: an answer may
        take a minute after that."""
        until = looked_up_at + SECONDS
        if principal.expires_at is not None:
            left = (principal.expires_at - datetime.now(UTC)).total_seconds()
            until = min(until, time.monotonic() + left)
        self._known.put(_hash(authorization), (principal, until), 1)

    def find(self, authorization: bytes) -> Principal | None:
        """Who that is, if it was looked up in the last 30 s and has not expired since."""
        known = self._known.get(_hash(authorization))
        if known is None or known[1] <= time.monotonic():
            return None
        return known[0]

    def clear(self) -> None:
        """Trust nobody any more, such as when a key was revoked."""
        self.clears += 1
        self._known.clear()


def _hash(authorization: bytes) -> bytes:
    return hashlib.sha256(authorization).digest()
