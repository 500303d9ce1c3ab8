"""The one deadline of a wait: each request of it, its retries and its pauses end when the time is over."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2

from imago.errors import Unavailable, Unreachable, WaitTimeout
from imago.transport import Json, Parameters, Patience, Transport

_WATCHING = 120.0
"""Seconds of patience: a server that restarts in the middle of something long should not end the wait for
it."""


class Wait:
    """The time that someone gives to one wait, from now on.

    timeout: seconds, None for all that it takes. still: says what has not happened yet, as in "job_1 is still
    queued"; asked when the time is over. seen: whether the server has told of what is awaited, so that it was
    there a moment ago; where not, an address at which nobody listens ends the wait as soon as any request.
    """

    def __init__(
        self, transport: Transport, timeout: float | None, still: Callable[[], str], *, seen: bool = True
    ) -> None:
        self._transport, self._timeout, self._still, self._seen = transport, timeout, still, seen
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds that have gone by."""
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        """Seconds to the end, below 0 after it."""
        return math.inf if self._timeout is None else self._timeout - self.elapsed

    @property
    def over(self) -> WaitTimeout:
        """What is raised at the end."""
        return WaitTimeout(f"{self._still()} after {self._timeout:g} s.")

    def check(self) -> None:
        """Raises WaitTimeout where the time is over."""
        if self.left <= 0:
            raise self.over

    def pause(self, seconds: float) -> None:
        """Sleep before the next look, no longer than there is time. Raises WaitTimeout where there is none
        left."""
        self.check()
        time.sleep(min(seconds, self.left))

    def get(self, path: str, parameters: Parameters | None = None) -> Json:
        """GET a JSON object, with a patience that outlives a restart of the server. Raises WaitTimeout where
        it does not answer in the time that is left, or a second where there is less."""
        with self._bounded() as patience:
            return self._transport.get(path, parameters, patience=patience)

    def post(self, path: str, body: Json | None = None) -> Json:
        """POST, and read a JSON object, as `get` does. Only for requests that may be sent twice."""
        with self._bounded() as patience:
            return self._transport.post(path, body, patience=patience).body

    @contextmanager
    def _bounded(self) -> Iterator[Patience]:
        """The patience of a request, whose failures for want of time are those of the wait."""
        left = max(self.left, 0.0)
        seconds = min(left, _WATCHING)
        refused = seconds if self._seen else min(left, Patience.refused)
        try:
            yield Patience(seconds=seconds, refused=refused, strict=True)
        except (Unreachable, Unavailable) as error:
            nobody_listens = isinstance(error.__cause__, httpx2.ConnectError)
            if left > (refused if nobody_listens else seconds):
                raise
            raise self.over from error
        self._seen = True
