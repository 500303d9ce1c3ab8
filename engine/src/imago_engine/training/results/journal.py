"""What a training writes and tells as it goes: events, `log.jsonl`, TensorBoard files and sample grids.

None of it may end a training: what cannot be written (a full disk) is told in one line.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from imago_engine.training.results.event_file import EventFile
from imago_engine.training_events import Note, Progress, Sample, Saved, TrainingEvent

LOG, GRIDS, TENSORBOARD = "log.jsonl", "grids", "tensorboard"


class Journal:
    """In the folder of a run; `tell` gets each event."""

    def __init__(self, folder: Path, tell: Callable[[TrainingEvent], None]) -> None:
        self._folder, self._tell = folder, tell
        self._tensorboard = EventFile(folder / TENSORBOARD)

    def progress(self, progress: Progress) -> None:
        """Losses are told and written as they are, in the log to six digits."""
        self._tell(progress)
        rounded = {name: _rounded(value) for name, value in progress.losses.items()}
        self._note(progress.pictures, {"rate": round(progress.rate, 1), **rounded})
        scalars = {f"loss/{name}": value for name, value in progress.losses.items() if value is not None}
        scalars |= {"speed/pictures_per_second": progress.rate, "speed/waiting_for_data": progress.waiting}
        with self._forgiving():
            self._tensorboard.scalars(progress.pictures, scalars)

    def sample(self, pictures: int, metrics: Mapping[str, float], pixels: np.ndarray | None) -> None:
        """Metrics of held-out pictures and a grid of them, uint8 [H, W, 3], None where there are too few."""
        self._note(pictures, {"held_out": dict(metrics)})
        with self._forgiving():
            tagged = {f"held_out/{name}": value for name, value in metrics.items()}
            self._tensorboard.scalars(pictures, tagged)
        grid = None
        if pixels is not None:
            file = f"{GRIDS}/{pictures:09d}.png"
            with self._forgiving():
                (self._folder / GRIDS).mkdir(exist_ok=True)
                Image.fromarray(pixels).save(self._folder / file)
                grid = file
                self._tensorboard.picture(pictures, "held_out", pixels)
        self._tell(Sample(pictures=pictures, held_out=dict(metrics), grid=grid))

    def saved(self, pictures: int, file: str) -> None:
        """The checkpoint was replaced."""
        self._tell(Saved(pictures=pictures, file=file))

    def warn(self, message: str) -> None:
        """Tell a line for people; the training goes on."""
        self._tell(Note(message=f"warning: {message}"))

    def close(self) -> None:
        """Close its files."""
        self._tensorboard.close()

    def _note(self, pictures: int, entry: dict[str, object]) -> None:
        line = json.dumps({"pictures": pictures, "time": round(time.time(), 1), **entry}) + "\n"
        with self._forgiving(), (self._folder / LOG).open("a") as handle:
            handle.write(line)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.warn(f"the training goes on, but its log cannot be written: {error}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
