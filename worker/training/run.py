"""The loop around a training: checkpoints, sample grids, a log, a progress line, and a graceful end on
SIGTERM or SIGINT.
"""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import torch

from worker.training.checkpoint import CheckpointError
from worker.training.grids import write_grid
from worker.training.metrics import held_out_metrics
from worker.training.threads import ThreadChoice
from worker.training.training import Training

CHECKPOINT = "checkpoint.safetensors"
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Pace:
    """Seconds between the things a run does beside training."""

    checkpoint: float = 300
    sample: float = 300  # a grid and the held-out metrics
    log: float = 20


class Interruption:
    """Remembers SIGTERM and SIGINT while it is entered, so that a run ends after a whole step and its
    checkpoint.
    """

    def __init__(self) -> None:
        self.requested = False

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def __enter__(self) -> "Interruption":
        self._previous = {s: signal.signal(s, self._request) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


class Run:
    """A training and its folder: `checkpoint.safetensors`, `log.jsonl`, `grids/<pictures>.png`."""

    def __init__(self, training: Training, folder: Path, pace: Pace, say: Callable[[str], None]) -> None:
        self.training, self.folder, self.pace, self.say = training, folder, pace, say
        index = training.prepared.index
        shown = min(32, index.held_out) // 8 * 8
        self._shown = np.arange(index.train, index.train + shown)
        (folder / "grids").mkdir(parents=True, exist_ok=True)

    def go(self) -> bool:
        """Train until the schedule is done (True) or a signal asks to stop (False); the state is saved in
        both cases.

        A checkpoint that cannot be written (a full disk) is reported and tried again at the next turn;
        training goes on.
        """
        training, pace = self.training, self.pace
        threads = ThreadChoice(torch.get_num_threads())
        sums: dict[str, float] = {}
        steps, logged = 0, time.monotonic()
        saved = sampled = before = logged
        with Interruption() as interruption:
            while (
                not interruption.requested and training.schedule.progress(training.pictures, time.time()) < 1
            ):
                for name, value in training.step().items():
                    sums[name] = sums.get(name, 0.0) + value
                steps += 1
                now = time.monotonic()
                threads.after_step(now - before)
                training.seconds += now - before
                before = now
                if now - logged >= pace.log:
                    rate = steps * training.options.batch / (now - logged)
                    means = {name: round(total / steps, 4) for name, total in sums.items()}
                    self._log({"rate": round(rate, 1), **means})
                    self.say(progress_line(training, rate, means))
                    sums, steps, logged = {}, 0, now
                if now - saved >= pace.checkpoint:
                    self.save()
                    saved = before = time.monotonic()
                if now - sampled >= pace.sample:
                    self.sample()
                    sampled = before = time.monotonic()
        self.save()
        self.sample()
        return not interruption.requested

    def save(self) -> None:
        try:
            self.training.save(self.folder / CHECKPOINT)
        except CheckpointError as error:
            self.say(f"warning: {error}")

    def sample(self) -> None:
        """Measure on held-out pictures and draw a grid of them."""
        metrics = held_out_metrics(self.training)
        self._log({"held_out": metrics})
        self.say("held out: " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
        if len(self._shown):
            path = self.folder / "grids" / f"{self.training.pictures:09d}.png"
            write_grid(
                path, self.training.pictures_of(self._shown), self.training.reconstructions(self._shown)
            )

    def _log(self, entry: dict[str, object]) -> None:
        line = {"pictures": self.training.pictures, "time": round(time.time(), 1), **entry}
        with (self.folder / "log.jsonl").open("a") as handle:
            handle.write(json.dumps(line) + "\n")


def progress_line(training: Training, rate: float, means: dict[str, float]) -> str:
    """E.g. `128,000 pictures  42 %  51.3/s  ETA 1:12:30  discriminator 1.532 …`."""
    now = time.time()
    progress = training.schedule.progress(training.pictures, now)
    left = (training.schedule.pictures - training.pictures) / max(rate, 1e-9)
    if training.schedule.deadline is not None:
        left = min(left, training.schedule.deadline - now)
    minutes, seconds = divmod(int(max(left, 0)), 60)
    losses = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
    eta = f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    return f"{training.pictures:,} pictures  {progress:.0%}  {rate:.1f}/s  ETA {eta}  {losses}"
