"""The file of events that another process reads while it grows."""

import os
import sys
from pathlib import Path

from imago_engine.training_events import TrainingEvent


class EventLog:
    """Appends each event as one whole line, in one write, so that a reader sees all of it or nothing."""

    def __init__(self, path: Path) -> None:
        """What is there stays, also the line that a kill cut short."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        size = os.fstat(self._file).st_size
        self._torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"

    def tell(self, event: TrainingEvent) -> None:
        """An event that cannot be written (a full disk) is lost; the training goes on."""
        line = (b"\n" if self._torn else b"") + event.model_dump_json().encode() + b"\n"
        try:
            written = os.write(self._file, line)
        except OSError as error:
            print(f"warning: an event cannot be written: {error}", file=sys.stderr, flush=True)
            return
        self._torn = written < len(line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
