"""What a process of `imago_engine.training` tells as it goes: `events.jsonl`, one JSON object a line.

The process appends whole lines; `EventReader` gives each once, by its offset in the file. A process that ends
without `Exported`, `Failed` or `Stopped` has crashed. Files are named relative to the training's folder, and
pictures and places by the names that the job gave them.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

EVENTS = "events.jsonl"

PhaseName = Literal["preparing", "training", "exporting"]
FailureCode = Literal[
    "source", "data", "options", "network", "generator", "checkpoint", "other_data", "diverged", "device",
    "memory", "folder_in_use", "files", "unexpected",
]  # fmt: skip


class _Event(BaseModel):
    # JSON has no NaN, which a measurement of nothing gives: null stands for it.
    model_config = ConfigDict(extra="forbid", frozen=True)

    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


class Phase(_Event):
    """Another part of the job begins."""

    event: Literal["phase"] = "phase"
    phase: PhaseName


class Encoded(_Event):
    """So many pictures are prepared, at a rate in pictures a second."""

    event: Literal["encoded"] = "encoded"
    pictures: int
    rate: float


class LeftOut(_Event):
    """Pictures that are not trained on, with the reasons of the first; `listed` names the file of all."""

    event: Literal["left_out"] = "left_out"
    count: int
    first: list[str]
    listed: str | None = None


class Begun(_Event):
    """The training goes on from so many pictures seen, of `train` that it trains on."""

    event: Literal["begun"] = "begun"
    pictures: int
    train: int
    held_out: int
    corrupt: int
    computed_on: str


class Progress(_Event):
    """Mean losses since the last report. `rate` in pictures a second, `waiting` the share of the time for
    which steps waited for data, `done` the share of the schedule, `left` in seconds.
    """

    event: Literal["progress"] = "progress"
    pictures: int
    losses: dict[str, float | None]
    rate: float
    waiting: float
    done: float
    left: float


class Sample(_Event):
    """Metrics of held-out pictures, and the file of the grid that shows them, whole, if it could be drawn."""

    event: Literal["sample"] = "sample"
    pictures: int
    held_out: dict[str, float | None]
    grid: str | None = None


class Saved(_Event):
    """The checkpoint has been replaced by one after so many pictures."""

    event: Literal["saved"] = "saved"
    pictures: int
    file: str


class Note(_Event):
    """A line for people: a warning, or a fact."""

    event: Literal["note"] = "note"
    message: str


class Measured(_Event):
    """The bounds of codes are written."""

    event: Literal["measured"] = "measured"
    pictures: int
    code_shape: list[int]
    mean: float
    deviation: float


class Packed(_Event):
    """So many pictures of those that were `seen` are in the packed set: written if there is a `file`, else
    for now.
    """

    event: Literal["packed"] = "packed"
    pictures: int
    seen: int | None = None
    held_out: int = 0
    by_source: dict[str, int] = Field(default_factory=dict)
    bytes: int | None = None
    file: str | None = None


class Exported(_Event):
    """The generator's file and its model card are written: the job is done."""

    event: Literal["exported"] = "exported"
    file: str
    card: str
    bytes: int
    sha256: str
    description: dict[str, Any]
    """How it was trained, as in the file."""


class Stopped(_Event):
    """A signal asked it to stop; the state is saved."""

    event: Literal["stopped"] = "stopped"
    pictures: int


class Failed(_Event):
    """It cannot go on, in words for people. Another try may succeed where it is `passing`, for a reason that
    lies at this machine now (a full disk, weights out of reach, memory that others hold), and where it is
    `unexpected`, for no reason that is known; all others would end it again.
    """

    event: Literal["failed"] = "failed"
    code: FailureCode
    message: str
    passing: bool = False


TrainingEvent = (
    Phase
    | Encoded
    | LeftOut
    | Begun
    | Progress
    | Sample
    | Saved
    | Note
    | Measured
    | Packed
    | Exported
    | Stopped
    | Failed
)
_EVENTS: TypeAdapter[TrainingEvent] = TypeAdapter(Annotated[TrainingEvent, Field(discriminator="event")])


class EventReader:
    """The events of a file that another process appends to, each once."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def new(self) -> list[TrainingEvent]:
        """What came since the last call. The line that is being written is left for the next; one that was
        cut short for good (a full disk) is passed over.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [event for line in whole.splitlines() if (event := _read(line)) is not None]


def _read(line: bytes) -> TrainingEvent | None:
    try:
        return _EVENTS.validate_json(line)
    except ValidationError:
        return None
