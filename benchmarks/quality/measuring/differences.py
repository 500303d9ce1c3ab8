"""How sure a difference between two techniques is: 95 % intervals by drawing classes anew, paired, because a
class is as hard for both.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.quality.measuring.judged import Judged
from benchmarks.quality.measuring.statistics import TOPS, Array, Gaussian, frechet

Row = dict[str, Any]
Chosen = npt.NDArray[np.integer]
RESAMPLES = 10_000


def interval(
    figure: Callable[[Chosen], float], count: int, resamples: int, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of a figure of `count` classes, by drawing classes anew with repetition; the figure
    is told which ones, [count]."""
    draw = np.random.default_rng(seed)
    found = [figure(draw.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def compared(old: Judged, new: Judged, reference: Gaussian, frechet_resamples: int) -> Row:
    """New minus old, each figure with its paired interval; both of the same plan and judges. No Fréchet
    distance with 0 resamples: each costs seconds.
    """
    row: Row = {}
    for name, below in TOPS.items():
        hits = [(each.ranks < below).mean((0, 2)) for each in (old, new)]  # [classes]
        row[name] = _mean_difference(*hits)
    if len(old.diversity):
        row["diversity"] = _mean_difference(old.diversity, new.diversity)
    if frechet_resamples:

        def nearer(kept: Chosen) -> float:
            one, other = (frechet(Gaussian.fit(each.features[kept]), reference) for each in (old, new))
            return other - one

        count = len(old.features)
        row["frechet"] = {
            "difference": nearer(np.arange(count)),
            "interval": interval(nearer, count, frechet_resamples),
        }
    return row


def _mean_difference(old: Array, new: Array) -> Row:
    gained = new - old
    return {
        "difference": float(gained.mean()),
        "interval": interval(lambda kept: float(gained[kept].mean()), len(gained), RESAMPLES),
    }
