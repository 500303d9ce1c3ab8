"""What a training tells as it goes: `log.jsonl`, TensorBoard files, sample grids and a table in the terminal.

None of it may end a training: what cannot be written (a full disk) is said in one line.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from imago_engine.training.results.event_file import EventFile
from imago_engine.training.results.table import ProgressTable, duration

LOG, GRIDS, TENSORBOARD = "log.jsonl", "grids", "tensorboard"


class Journal:
    """In the folder of a run. `say` gets one line of text at a time."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self.say = folder, say
        self._table = ProgressTable(say)
        self._events = EventFile(folder / TENSORBOARD)

    def losses(
        self,
        pictures: int,
        losses: Mapping[str, float],
        *,
        rate: float,
        waiting: float,
        progress: float,
        left: float,
    ) -> None:
        """Mean losses since the last call; `rate` in pictures a second, `waiting` the share of the time for
        which steps waited for data, `left` in seconds.
        """
        cells = {
            "pictures": f"{pictures:,}",
            "done": f"{progress:.1%}",
            "pictures/s": f"{rate:.1f}",
            "left": duration(left),
            "waiting": f"{waiting:.1%}",
        }
        self._table.row(cells | {name: f"{value:.4g}" for name, value in losses.items()})
        rounded = {name: float(f"{value:.6g}") for name, value in losses.items()}
        self._note(pictures, {"rate": round(rate, 1), **rounded})
        with self._forgiving():
            scalars = {f"loss/{name}": value for name, value in losses.items()}
            scalars |= {"speed/pictures_per_second": rate, "speed/waiting_for_data": waiting}
            self._events.scalars(pictures, scalars)

    def held_out(self, pictures: int, metrics: Mapping[str, float]) -> None:
        self.say("held out: " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
        self._note(pictures, {"held_out": dict(metrics)})
        with self._forgiving():
            self._events.scalars(pictures, {f"held_out/{name}": value for name, value in metrics.items()})

    def grid(self, pictures: int, pixels: np.ndarray) -> None:
        """`pixels` uint8 [H, W, 3]."""
        with self._forgiving():
            (self._folder / GRIDS).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(self._folder / GRIDS / f"{pictures:09d}.png")
            self._events.picture(pictures, "held_out", pixels)

    def close(self) -> None:
        self._events.close()

    def _note(self, pictures: int, entry: dict[str, object]) -> None:
        line = json.dumps({"pictures": pictures, "time": round(time.time(), 1), **entry}) + "\n"
        with self._forgiving(), (self._folder / LOG).open("a") as handle:
            handle.write(line)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.say(f"warning: the training goes on, but its log cannot be written: {error}")
