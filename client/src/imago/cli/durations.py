"""Times and rates in a form that people read."""

from datetime import datetime


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(at: datetime | None) -> str:
    """`2027-01-31 19:25` on the clock of the person who looks; nothing for a time that is not known."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M") if at else ""


def rate(per_second: float) -> str:
    """`2.5/s`, or per minute where that is below one in two seconds."""
    return f"{per_second:.1f}/s" if per_second >= 0.5 else f"{per_second * 60:.1f}/min"
