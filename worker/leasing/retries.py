"""Trying again while the database or the store is away. Their failures are nobody's fault and cost no
attempt."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from services.base.errors import Unavailable

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0  # seconds
log = structlog.get_logger()


class Patience:
    """How long a server that does not answer is waited for, from the first time that one asks."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began: float | None = None

    @property
    def left(self) -> bool:
        now = time.monotonic()
        if self._began is None:
            self._began = now
        return now - self._began < self._seconds


def keep_trying(
    action: Callable[[], T],
    *,
    what: str,
    may_go_on: Callable[[], bool],
    wait: Callable[[float], object],
    passing: type[Unavailable] | tuple[()] = (),
) -> T:
    """`action()`, again and again while a server is away, with growing pauses that `wait` sleeps.

    Raises the last `Unavailable` once `may_go_on()` is false; other errors pass at once, and so does
    `passing`, which no waiting here would end.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return action()
        except passing:
            raise
        except Unavailable as error:
            if not may_go_on():
                raise
            log.warning("server_away", what=what, reason=str(error), retry_seconds=round(pause, 2))
        wait(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)
