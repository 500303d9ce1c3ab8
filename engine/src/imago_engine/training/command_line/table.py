"""The progress of a training as an aligned table, a line at a time."""

from collections.abc import Callable, Mapping

REPEAT = 20
"""Rows after which the header is said again, so that it stays in sight."""


class ProgressTable:
    """Says rows of text, every column as wide as its header or 9 characters, the first 12."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._rows = say, 0

    def row(self, cells: Mapping[str, str]) -> None:
        """`cells` by header, in the order of the columns."""
        widths = {name: max(len(name), 9 if i else 12) for i, name in enumerate(cells)}
        if self._rows % REPEAT == 0:
            self._say("  ".join(name.rjust(width) for name, width in widths.items()))
        self._rows += 1
        self._say("  ".join(cells[name].rjust(width) for name, width in widths.items()))


def duration(seconds: float) -> str:
    """E.g. `1:12:30`."""
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
