"""How many answers that take long may be under way: of a process, and of one client."""

import threading
from collections import Counter
from dataclasses import dataclass

from api.problems import problem_types
from api.problems.problems import Problem


@dataclass(frozen=True)
class Limits:
    """`what` they are, in the plural, and what whoever has too many can do `instead`."""

    of_one: int
    of_all: int
    what: str
    instead: str


class Places:
    """Counts answers by client: the id of a key, or an address. May be used by all threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    def take(self, client: str) -> None:
        """Take a place, which is to be given back. Raises `Problem` where there is none: 429 for a client
        that has enough, 503 where all have."""
        limits = self._limits
        with self._lock:
            if self._taken[client] >= limits.of_one:
                raise Problem(
                    problem_types.TOO_MANY_REQUESTS,
                    f"There may be {limits.of_one} {limits.what} of one key, or of one address "
                    f"without a key; {limits.instead}",
                    headers=_LATER,
                )
            if self._taken.total() >= limits.of_all:
                raise Problem(
                    problem_types.UNAVAILABLE,
                    f"There are too many {limits.what}; {limits.instead}",
                    headers=_LATER,
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
        """How many answers are under way."""
        with self._lock:
            return self._taken.total()


_LATER = {"Retry-After": "30"}
