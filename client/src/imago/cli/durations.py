"""Times and rates in a form that people read."""

import math
from datetime import datetime


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


_ABOUT = 1.7
"""Bounds that are no further apart are one figure to people."""
_UNITS = (("s", 1, 100), ("min", 60, 100 * 60), ("h", 3600, 48 * 3600))


def time_left(likely: float, bounds: tuple[float, float] | None) -> str:
    """What is known of a time to come: `about 4 min`, or `4 to 12 min` where that is not known well."""
    low, high = bounds or (likely, likely)
    if high <= _ABOUT * low or round(high) <= 1:
        return f"about {_rough(likely)}"
    unit, size = next(((unit, size) for unit, size, most in _UNITS if high < most), ("days", 86_400))
    least, most = int(low / size), math.ceil(high / size)
    return f"{least} to {most} {unit}" if least else f"up to {most} {unit}"


def _rough(seconds: float) -> str:
    """A time without figures that nobody can know."""
    if seconds < 20:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h" if seconds < 48 * 3600 else f"{round(seconds / 86_400)} days"


def moment(at: datetime | None) -> str:
    """`2027-01-31 19:25` on the clock of the person who looks; nothing for a time that is not known."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M") if at else ""


def rate(per_second: float) -> str:
    """`2.5/s`, or per minute where that is below one in two seconds."""
    return f"{per_second:.1f}/s" if per_second >= 0.5 else f"{per_second * 60:.1f}/min"
