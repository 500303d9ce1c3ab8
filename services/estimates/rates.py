"""How fast something happens, kept in two numbers: a mean over about the last minute that forgets
exponentially.
"""

import math
from datetime import datetime

WINDOW_SECONDS = 60.0
_FORGOTTEN_SECONDS = 300.0


def noted(rate: float | None, at: datetime | None, count: int, now: datetime) -> float:
    """The kept figure, in events a second, after `count` more events at `now`."""
    kept = 0.0 if rate is None or at is None else rate * _share(at, now)
    return kept + count / WINDOW_SECONDS


def current(rate: float | None, at: datetime | None, since: datetime, now: datetime) -> float | None:
    """Events a second at `now` of what began at `since`; None if nothing has happened for 5 minutes."""
    if rate is None or at is None or (now - at).total_seconds() > _FORGOTTEN_SECONDS:
        return None
    # Of what began lately only a part of the window has been seen.
    seen = 1.0 - math.exp(-max((now - since).total_seconds(), 1.0) / WINDOW_SECONDS)
    return rate * _share(at, now) / seen


def _share(at: datetime, now: datetime) -> float:
    return math.exp(-max((now - at).total_seconds(), 0.0) / WINDOW_SECONDS)
