"""The cache of API keys and browser sessions that were looked up in the last 30 s, for answers that come from
memory.

Only reading what is in memory goes by this; whatever reaches Flask, all writes among it, looks the key up.
"""

import hashlib
import time
from datetime import UTC, datetime

from api.browser import cookies
from api.edge.bridge import Scope
from api.memory import Memory
from services.access.keys import Principal

SECONDS = 30.0
"""For how long a key is trusted, and so how long a revoked one may still read what others have read."""
_KEYS = 8192
_OF_THE_COOKIE = (b"cookie", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")


def credential(scope: Scope, headers: dict[bytes, bytes]) -> bytes | None:
    """What names the asker: the Authorization header, else the cookie where it counts; None for nothing."""
    if b"authorization" in headers:
        return headers[b"authorization"]
    sent = {name: headers[name].decode("latin-1") for name in _OF_THE_COOKIE if name in headers}
    token = cookies.token(
        sent.get(b"cookie"),
        scope.get("scheme", "http"),
        method=scope["method"],
        site=sent.get(b"sec-fetch-site"),
        mode=sent.get(b"sec-fetch-mode"),
        destination=sent.get(b"sec-fetch-dest"),
    )
    # No header holds a NUL: one must not pass for the other.
    return None if token is None else b"cookie\0" + token.encode()


class TrustedKeys:
    """By the hash of what named them (`credential`): the memory of a process holds no secret for longer."""

    def __init__(self) -> None:
        self._known = Memory[bytes, tuple[Principal, float]](_KEYS)
        self.clears = 0
        """How often all trust was taken back: what was looked up before that counts no more."""

    def now(self) -> float:
        """The moment before a look-up, for `remember`."""
        return time.monotonic()

    def remember(self, named: bytes, principal: Principal, *, looked_up_at: float) -> None:
        """`principal` is whom the database named for this, at a monotonic time or later: an answer may
        take a minute after that."""
        until = looked_up_at + SECONDS
        if principal.expires_at is not None:
            left = (principal.expires_at - datetime.now(UTC)).total_seconds()
            until = min(until, time.monotonic() + left)
        self._known.put(_hash(named), (principal, until), 1)

    def find(self, named: bytes) -> Principal | None:
        """Who that is, if it was looked up in the last 30 s and has not expired since."""
        known = self._known.get(_hash(named))
        if known is None or known[1] <= time.monotonic():
            return None
        return known[0]

    def clear(self) -> None:
        """Trust nobody any more, such as when a key was revoked."""
        self.clears += 1
        self._known.clear()


def _hash(named: bytes) -> bytes:
    return hashlib.sha256(named).digest()
