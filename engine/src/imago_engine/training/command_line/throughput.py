"""How fast a training was from its begin to its end."""

from imago_engine.training.command_line.table import duration
from imago_engine.training_events import Begun, Progress


class Throughput:
    """Adds up what reports of progress say."""

    def __init__(self, begun: Begun) -> None:
        self._before, self._last = begun.pictures, begun.at
        self._pictures, self._seconds, self._waited = 0, 0.0, 0.0

    def add(self, progress: Progress) -> None:
        """Count one report."""
        seconds = (progress.at - self._last).total_seconds()
        self._last = progress.at
        self._pictures = progress.pictures - self._before
        self._seconds += seconds
        self._waited += progress.waiting * seconds

    def __str__(self) -> str:
        seconds = max(self._seconds, 1e-9)
        return (
            f"{self._pictures:,} pictures in {duration(self._seconds)}, {self._pictures / seconds:,.1f} a "
            f"second; waited for data {self._waited / seconds:.1%} of the time"
        )
