"""How many streams may be open: of a process, and of one client."""

import threading
from collections import Counter

from api.edge import limits
from api.problems import problem_types
from api.problems.problems import Problem

PLACES = "imago.streams"
"""Where the WSGI environment holds the places of the server; nothing where it sends no streams."""


class Places:
    """Counts open streams by client: the id of a key, or an address. May be used by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    def take(self, client: str) -> None:
        """Take a place, which is to be given back. Raises `Problem` where there is none: 429 for a client
        that has enough, 503 where all have."""
        with self._lock:
            if self._taken[client] >= limits.STREAMS_OF_ONE:
                raise Problem(
                    problem_types.TOO_MANY_REQUESTS,
                    f"There may be {limits.STREAMS_OF_ONE} open streams of one key, or of one address "
                    "without a key; close some, or poll.",
                    headers=_LATER,
                )
            if self._taken.total() >= limits.STREAMS:
                raise Problem(
                    problem_types.UNAVAILABLE, "There are too many open streams; poll.", headers=_LATER
                )
            self._taken[client] += 1

    def give_back(self, client: str) -> None:
        """Give a place back."""
        with self._lock:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]

    @property
    def taken(self) -> int:
        """How many streams are open."""
        with self._lock:
            return self._taken.total()


_LATER = {"Retry-After": "30"}
