"""Follow something by the server's events, or by asking again and again.

A stream is opened where the server has one. Where it has none, breaks off at once or says nothing (a proxy
that collects answers before it passes them on), it is asked as ever, and a stream is tried again later.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from imago.errors import ImagoError
from imago.events.parsing import Event
from imago.transport import Transport

QUIET_SECONDS = 20.0
"""A stream that says nothing for so long, not even a comment, is none: comments come every 15 s."""
_LIVED_SECONDS = 5.0
"""A stream that was open for so long is opened again at once."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_NOT_THERE = (404, 405, 406, 501)
"""Of an earlier server, or one that has no streams: it is not asked for one again."""


@dataclass
class Streams:
    """Opens streams of one address, one after the other, each from where the last one ended."""

    transport: Transport
    path: str
    last_id: str | None = None
    _pause: float = _FIRST_PAUSE
    _not_before: float = field(default=0.0)

    @property
    def may_be_tried(self) -> bool:
        """Whether it makes sense to open one now."""
        return time.monotonic() >= self._not_before

    def events(self, goes_on: Callable[[], bool]) -> Iterator[Event]:
        """The events of one stream, until it ends, whatever the reason, or `goes_on` says no: that is asked
        about every 15 s, and after each event."""
        began = time.monotonic()
        heard = False
        try:
            for event in self.transport.events(self.path, self.last_id, quiet_seconds=QUIET_SECONDS):
                heard = True
                if event is not None:
                    self.last_id = event.id or self.last_id
                    yield event
                if not goes_on():
                    return
        except ImagoError as error:
            if error.status in _NOT_THERE:
                self._not_before = float("inf")
                return
        lived = time.monotonic() - began
        if not heard and lived >= _LIVED_SECONDS:
            self._not_before = float("inf")  # it would be waited for in vain each time
        elif heard and lived >= _LIVED_SECONDS:
            self._pause, self._not_before = _FIRST_PAUSE, time.monotonic()
        else:
            self._not_before = time.monotonic() + self._pause
            self._pause = min(self._pause * 4, _LONGEST_PAUSE)
