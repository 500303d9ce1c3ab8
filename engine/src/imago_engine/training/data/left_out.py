"""Account of the pictures that are left out of a training set: how many, which, and why."""

from pathlib import Path

from imago_engine.training.data.sources import Unread

NAMED = 5
"""Names in a message; the rest is in the list."""


class LeftOut:
    """Counts pictures that are lost or cannot be decoded, and keeps their names."""

    def __init__(self) -> None:
        self.count = 0
        self.unread = 0
        """Those among them that may be had at another time."""
        self.lines: list[str] = []
        """Name and reason of each, in the order in which they were met."""

    def add(self, name: str, reason: str) -> None:
        """Count a picture, and keep why it is left out."""
        # A name may hold what no encoding can print, a reason more than one line.
        line = " ".join(f"{name} ({reason})".encode(errors="backslashreplace").decode().split())
        self.count += 1
        self.unread += isinstance(reason, Unread)
        self.lines.append(line)

    def write(self, path: Path) -> None:
        """All of them, one a line; no file where there are none."""
        path.unlink(missing_ok=True)
        if self.lines:
            path.write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")

    @property
    def named(self) -> str:
        """The first ones, for a message."""
        more = f" and {self.count - NAMED:,} more" if self.count > NAMED else ""
        return "; ".join(self.lines[:NAMED]) + more
