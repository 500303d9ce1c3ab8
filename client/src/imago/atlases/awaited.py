"""What workers of the server make when somebody asks for it: sheets, maps, comparisons."""

from abc import ABC, abstractmethod
from typing import Self

from imago.errors import ImagoError
from imago.events.waiting import Wait
from imago.records import Raw
from imago.transport import Json, Parameters, Transport

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

    @property
    def coming(self) -> bool:
        """Whether workers are to make it, or to look again. A server of an earlier release may not tell."""
        return bool(self.raw.get("coming", True))

    def refresh(self) -> Self:
        """Ask the server again."""
        self.raw = self._transport.get(*self._asked)
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Block until there is one. Raises WaitTimeout after so many seconds, also while the server is away,
        ImagoError where workers have given it up."""
        return self._await(self._given(timeout))

    def _given(self, timeout: float | None) -> Wait:
        """A wait until there is one, which begins now."""
        return Wait(self._transport, timeout, lambda: repr(self))

    def _await(self, wait: Wait, *, current: bool = False) -> Self:
        """current: not until one that is out of date is replaced, or nobody goes on with that."""
        pause = _PAUSE
        while not self.made or (current and not self.current):
            # What is not coming any more may just have been made: only what was given up has a problem, too.
            if not self.coming and (problem := self.raw["problem"]):
                raise ImagoError(f"{self!r} was given up: {problem}")
            if self.made and not self.coming:
                return self
            wait.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self.raw = wait.get(*self._asked)
        return self

    @property
    def _asked(self) -> tuple[str, Parameters | None]:
        """The path that tells how it is, and its query."""
        return self.raw["links"]["self"], None

    def _check_made(self) -> None:
        if not self.made:
            raise ImagoError(f"{self!r}: wait() for it.")
