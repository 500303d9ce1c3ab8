"""What workers of the server make when somebody asks for it: sheets, maps, comparisons."""

import time
from abc import ABC, abstractmethod
from typing import Self

from imago.errors import ImagoError, WaitTimeout
from imago.records import Raw
from imago.transport import Json, Transport

_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two questions: the first pause, and what doubling it leads to."""


class Awaited(ABC):
    """Its attributes are what the server said last: `refresh` asks again, `wait` till it is made."""

    def __init__(self, raw: Json, transport: Transport) -> None:
        self.raw: Raw = raw
        self._transport = transport

    @property
    @abstractmethod
    def made(self) -> bool:
        """Whether there is one."""

    @property
    def current(self) -> bool:
        """Whether it tells of all that there is."""
        return bool(self.raw["current"])

    def refresh(self) -> Self:
        """Ask the server again."""
        self.raw = self._transport.get(self.raw["links"]["self"])
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Block until there is one. Raises WaitTimeout after so many seconds, ImagoError where workers have
        given it up."""
        until, pause = None if timeout is None else time.monotonic() + timeout, _PAUSE
        while not self.made:
            if problem := self._given_up():
                raise ImagoError(problem)
            if until is not None and time.monotonic() >= until:
                raise WaitTimeout(f"{self!r} after {timeout:g} seconds.")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self.refresh()
        return self

    def _given_up(self) -> str | None:
        """Why it will not be made, None while it may be."""
        return None

    def _check_made(self) -> None:
        if not self.made:
            raise ImagoError(f"{self!r}: wait() for it.")
