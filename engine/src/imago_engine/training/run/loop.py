"""The loop around a training: checkpoints, held-out metrics, its journal, and a graceful end."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imago_engine.training.results.grids import COLUMNS, comparison
from imago_engine.training.results.held_out import held_out_metrics
from imago_engine.training.results.journal import Journal
from imago_engine.training.run.checkpoint import CheckpointError
from imago_engine.training.run.folder import CHECKPOINT
from imago_engine.training.run.interruption import Interruption
from imago_engine.training.run.threads import ThreadChoice
from imago_engine.training.run.training import Training
from imago_engine.training_events import Progress


class Diverged(RuntimeError):
    """Losses are no longer numbers."""


@dataclass(frozen=True)
class Intervals:
    """Seconds between the things a run does beside training."""

    checkpoint: float = 300
    sample: float = 300  # a grid and the held-out metrics
    log: float = 20


@dataclass
class _Timer:
    every: float
    last: float

    def due(self, now: float) -> bool:
        return now - self.last >= self.every


class Run:
    """A training and its folder: `checkpoint.safetensors` and the files of the journal.

    Of several processes the leader alone has a journal and writes.
    """

    def __init__(
        self, training: Training, folder: Path, intervals: Intervals, journal: Journal | None
    ) -> None:
        self.training, self.folder, self.journal = training, folder, journal
        index = training.prepared.index
        shown = min(32, index.held_out) // COLUMNS * COLUMNS
        self._shown = np.arange(index.train, index.train + shown)
        now = time.monotonic()
        self._log, self._save, self._sample = (
            _Timer(every, now) for every in (intervals.log, intervals.checkpoint, intervals.sample)
        )
        self._names: tuple[str, ...] = ()
        self._forget()

    def go(self) -> bool:
        """Train until the schedule is done (True) or a signal asks to stop (False); the state is saved in
        both cases.

        A checkpoint that cannot be written (a full disk) is reported and tried again at the next turn; if it
        still cannot at the end, CheckpointError says so and the one before is as it was. Raises Diverged,
        without a checkpoint, when the losses are no longer numbers.
        """
        training, processes = self.training, self.training.processes
        threads = ThreadChoice(torch.get_num_threads()) if training.placement.device.type == "cpu" else None
        before = time.monotonic()
        with Interruption() as interruption:
            while True:
                now, clock = time.time(), time.monotonic()
                done = training.schedule.progress(training.pictures, now) >= 1
                turn = [self._log.due(clock), self._save.due(clock), self._sample.due(clock)]
                # One process decides for all: their clocks differ, and signals reach them one by one.
                now, *flags = processes.agree([now, done, interruption.requested, *turn])
                done, stop, log, save, sample = map(bool, flags)
                ends = done or stop
                if (log or save or ends) and self._steps:
                    self._report(log or ends, now)
                if save and not ends:
                    self._try_to_save()
                if sample and not ends:
                    self._measure()
                if ends:
                    break
                if save or sample:
                    before = time.monotonic()
                self._count(training.step(now))
                after = time.monotonic()
                training.seconds += after - before
                if threads is not None:
                    threads.after_step(after - before)
                before = after
        if processes.leads:
            self._save_now()
        self._measure()
        return done

    def _forget(self) -> None:
        self._sums: Tensor | float = 0.0
        self._steps, self._waited = 0, self.training.feed.waited

    def _count(self, losses: dict[str, Tensor]) -> None:
        # Left on the device: reading a number would make the CPU wait for it at every step.
        self._names = tuple(losses)
        self._sums = self._sums + torch.stack(list(losses.values()))
        self._steps += 1

    def _report(self, log: bool, now: float) -> None:
        """Check the losses since the last report and, if `log`, write them down."""
        assert isinstance(self._sums, Tensor)
        training = self.training
        means = training.processes.mean(self._sums / self._steps).tolist()
        losses = dict(zip(self._names, means, strict=True))
        if not np.isfinite(means).all():
            raise Diverged(
                f"the losses are no longer numbers after {training.pictures:,} pictures ({losses}); the last "
                "checkpoint is as it was; try a lower --learning-rate, or --precision float32"
            )
        if not log:
            return
        clock = time.monotonic()
        seconds = max(clock - self._log.last, 1e-9)
        rate = self._steps * training.recipe.options.batch / seconds
        left = (training.schedule.pictures - training.pictures) / rate
        if training.schedule.deadline is not None:
            left = min(left, training.schedule.deadline - now)
        if self.journal is not None:
            self.journal.progress(
                Progress(
                    pictures=training.pictures,
                    losses=dict(losses),
                    rate=rate,
                    waiting=(training.feed.waited - self._waited) / seconds,
                    done=training.schedule.progress(training.pictures, now),
                    left=left,
                )
            )
        self._forget()
        self._log.last = clock

    def _try_to_save(self) -> None:
        if self.journal is not None:
            try:
                self._save_now()
            except CheckpointError as error:
                self.journal.warn(str(error))
        self._save.last = time.monotonic()

    def _save_now(self) -> None:
        self.training.save(self.folder / CHECKPOINT)
        if self.journal is not None:
            self.journal.saved(self.training.pictures, CHECKPOINT)

    def _measure(self) -> None:
        """Measure on held-out pictures and draw a grid of them."""
        training, shown = self.training, self._shown
        if self.journal is not None:
            metrics, grid = held_out_metrics(training), None
            if len(shown):
                grid = comparison(training.pictures_of(shown), training.reconstructions(shown))
            self.journal.sample(training.pictures, metrics, grid)
        self._sample.last = time.monotonic()
