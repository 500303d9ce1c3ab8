"""When bulk work steps aside for someone who waits, and when it need not."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from services.base.errors import Unavailable

BULK_SHARE = 0.25
"""Of the time of a worker, at least, while work of both lanes waits."""
LOOK_SECONDS = 0.5
"""How often a bulk batch asks whether someone waits."""
log = structlog.get_logger()


class BulkShare:
    """Accounts for the time of both lanes: what an interactive batch takes, bulk has a claim to a third of,
    and is not interrupted before it had it. So in every window that begins and ends with an interactive
    batch's end at least a quarter of the time is bulk's.
    """

    def __init__(self) -> None:
        self._owed = 0.0

    @property
    def bulk_is_due(self) -> bool:
        return self._owed > 0

    def interactive(self, seconds: float) -> None:
        """Interactive work took so long."""
        self._owed += seconds * BULK_SHARE / (1 - BULK_SHARE)

    def bulk(self, seconds: float) -> None:
        """Bulk work took so long."""
        self._owed = max(0.0, self._owed - seconds)

    def no_bulk(self) -> None:
        """No bulk work waits, so none is kept waiting."""
        self._owed = 0.0


class Bell:
    """Asks the database whether interactive work waits: seldom enough to cost nothing, and soon after a ring.

    Work that waits at two looks is for this worker: an idle one would have taken it. `ring` may be called
    from any thread.
    """

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._rung = False
        self._next = 0.0
        self._waited = False

    def ring(self) -> None:
        self._rung = True

    def someone_waits(self) -> bool:
        now = time.monotonic()
        if now < self._next and not self._rung:
            return False
        self._rung = False
        self._next = now + LOOK_SECONDS
        waited = self._waited
        try:
            self._waited = self._ask()
        except Unavailable as error:
            log.warning("server_away", what="bell", reason=str(error))
            self._waited = False
        return waited and self._waited


class Stopwatch:
    """A clock in seconds that stands still while it is `stopped`."""

    def __init__(self) -> None:
        self._stood = 0.0
        self._lap = self()

    def __call__(self) -> float:
        return time.monotonic() - self._stood

    def lap(self) -> float:
        """Seconds since the call before, at first since the beginning."""
        before, self._lap = self._lap, self()
        return self._lap - before

    @contextmanager
    def stopped(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._stood += time.monotonic() - began
