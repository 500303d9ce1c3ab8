"""A graceful end on SIGTERM or SIGINT."""

import signal
from types import FrameType


class Interruption:
    """Remembers SIGTERM and SIGINT while it is entered, so that a run ends after a whole step and its
    checkpoint.
    """

    def __init__(self) -> None:
        self.requested = False

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def __enter__(self) -> "Interruption":
        self._previous = {s: signal.signal(s, self._request) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
