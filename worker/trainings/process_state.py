"""What the events of a training's process add up to."""

import math
from collections.abc import Mapping
from typing import Any

import structlog

from imago_engine.training_events import (
    Begun,
    EventReader,
    Exported,
    Failed,
    LeftOut,
    Note,
    Phase,
    PhaseName,
    Progress,
    Sample,
    Saved,
    Stopped,
)

log = structlog.get_logger()


class ProcessState:
    """What a training's process has told of itself so far."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self.phase: PhaseName | None = None
        """None until the process has told of one."""
        self.figures: dict[str, Any] = {}
        """`pictures`, `rate` (pictures a second) and `losses`, as they were told last."""
        self.saves = 0
        """Checkpoints that the process has written."""
        self.saved: int | None = None
        """Pictures that the last one has seen."""
        self.samples: list[Sample] = []
        """All that are not taken out yet."""
        self.end: Exported | Failed | Stopped | None = None
        """How the process says that it ended; None for one that runs or has crashed."""

    def read_events(self) -> None:
        """Take in what the process has told since the last call."""
        for event in self._reader.new():
            match event:
                case Phase():
                    self.phase = event.phase
                case Exported() | Failed() | Stopped():
                    self.end = event
                case Saved():
                    self.saves, self.saved = self.saves + 1, event.pictures
                case Sample():
                    self.samples.append(event)
                case Progress():
                    self.figures |= {"rate": event.rate, "losses": finite(event.losses)}
                case LeftOut():
                    log.info("training_left_out", count=event.count, first=event.first)
                case Note():
                    log.info("training_note", message=event.message)
            if isinstance(event, Begun | Progress | Sample | Saved):
                self.figures["pictures"] = event.pictures


def finite(values: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are numbers."""
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
