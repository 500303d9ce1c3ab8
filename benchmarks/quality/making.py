"""The pictures of one technique, made batch by batch and kept, so that an interrupted benchmark goes on where
it was.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.quality.arrays import write_whole
from benchmarks.quality.lists import Unit
from benchmarks.quality.plan import FIRST_SEED, Plan
from benchmarks.quality.techniques import Made, Technique, digest
from imago_engine.synthesis.ascent import Item


@dataclass(frozen=True)
class Pictures:
    """All pictures of a plan:

    `images` uint8 [N, 3, S, S], `activations` [N], and the seconds of making them.
    """

    images: Tensor
    activations: Tensor
    seconds: float
    rows: dict[tuple[str, int, int], int]

    def of(self, units: Sequence[Unit], seed: int = FIRST_SEED) -> Tensor:
        """The images of some units, [n, 3, S, S]."""
        return self.images[self._rows_of(units, seed)]

    def activations_of(self, units: Sequence[Unit], seed: int = FIRST_SEED) -> Tensor:
        return self.activations[self._rows_of(units, seed)]

    def _rows_of(self, units: Sequence[Unit], seed: int) -> list[int]:
        return [self.rows[unit.layer, unit.unit, seed] for unit in units]


def made(technique: Technique, plan: Plan, cache: Path) -> Pictures:
    """Make what `cache` does not hold yet; seconds are those of the first making."""
    folder = cache / digest(technique)
    parts: list[Made] = []
    rows: dict[tuple[str, int, int], int] = {}
    progress = Progress(technique.name, plan.pictures, technique.steps)
    for layer, items in plan.batches():
        path = folder / f"{_name(layer, items)}.npz"
        kept = path.exists()
        if kept:
            parts.append(_read(path))
        else:
            parts.append(technique.make(layer, items, progress.step_of(len(items))))
            _write(path, parts[-1])
        progress.finished(len(items), made=not kept)
        for item in items:
            rows[layer, item.unit, item.seed] = len(rows)
    progress.close()
    images, activations = (torch.cat([getattr(part, f) for part in parts]) for f in ("images", "activations"))
    return Pictures(images, activations, sum(part.seconds for part in parts), rows)


def _name(layer: str, items: Sequence[Item]) -> str:
    asked = ";".join(f"{item.unit},{item.seed}" for item in items)
    return f"{layer}-{sha256(asked.encode()).hexdigest()[:12]}"


def _read(path: Path) -> Made:
    with np.load(path) as kept:
        images, activations = torch.from_numpy(kept["images"]), torch.from_numpy(kept["activations"])
        return Made(images, activations, float(kept["seconds"]))


def _write(path: Path, part: Made) -> None:
    images, activations = part.images.numpy(), part.activations.numpy()
    write_whole(path, images=images, activations=activations, seconds=part.seconds)


class Progress:
    """One line on a terminal, overwritten; a line every ten seconds elsewhere."""

    def __init__(self, name: str, pictures: int, steps: int) -> None:
        self._name, self._pictures, self._steps = name, pictures, steps
        self._done = self._made = 0.0
        self._start = self._shown = time.monotonic()

    def step_of(self, count: int) -> "_Step":
        """What a technique calls after each step of a batch of `count` pictures."""
        return _Step(self, count)

    def show(self, running: float) -> None:
        now = time.monotonic()
        pause = 0.5 if sys.stderr.isatty() else 10.0
        if now - self._shown < pause:
            return
        self._shown = now
        done, made_now = self._done + running, self._made + running
        left = (now - self._start) / made_now * (self._pictures - done) if made_now else 0
        start, end = ("\r", "\033[K") if sys.stderr.isatty() else ("", "\n")
        print(
            f"{start}{self._name}: {done:.0f} of {self._pictures} pictures, {left / 60:.1f} min left",
            end=end,
            file=sys.stderr,
            flush=True,
        )

    def share(self, count: int, step: int) -> float:
        return count * step / self._steps

    def share_done(self, step: int, steps: int) -> None:
        """Called by the engine after each step where all pictures are of one batch."""
        self.show(self._pictures * step / steps)

    def finished(self, count: int, *, made: bool) -> None:
        self._done += count
        self._made += count * made

    def close(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class _Step:
    progress: Progress
    count: int

    def __call__(self, step: int) -> None:
        self.progress.show(self.progress.share(self.count, step))
