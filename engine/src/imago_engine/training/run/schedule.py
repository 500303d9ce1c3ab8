"""How far a training is, and what follows from it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A plan in pictures, optionally cut short by a wall-clock deadline (seconds since the epoch).

    The learning rate is flat until `flat` of the plan is done and then falls along a half cosine to `final`
    of its value. With a deadline, progress is whichever is further: pictures of the plan, or time since
    `started` (so the rate is down when time is up).
    """

    pictures: int
    flat: float = 0.5
    final: float = 0.02
    warmup: int = 2000
    started: float | None = None
    deadline: float | None = None

    def progress(self, seen: int, now: float) -> float:
        done = seen / self.pictures
        if self.deadline is not None and self.started is not None:
            done = max(done, (now - self.started) / max(self.deadline - self.started, 1e-9))
        return min(done, 1.0)

    def learning_rate_factor(self, seen: int, now: float) -> float:
        progress = self.progress(seen, now)
        falling = max(progress - self.flat, 0.0) / (1 - self.flat)
        cosine = self.final + (1 - self.final) * (1 + math.cos(math.pi * falling)) / 2
        return cosine * min(1.0, (seen + 1) / max(self.warmup, 1))
