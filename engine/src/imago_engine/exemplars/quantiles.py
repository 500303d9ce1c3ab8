"""What is told of how strongly real pictures excite a unit: quantiles, and where an activation stands among
them.
"""

from bisect import bisect_left
from collections.abc import Sequence

KEPT = 9
"""Exemplars of a unit, unless another number is asked for."""
MOST_KEPT = 36
LEVELS = (
    0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65,
    0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1.0,
)  # fmt: skip
"""The shares of pictures of which quantiles are told, denser where activations are strong."""


def percentile(activation: float, quantiles: Sequence[float]) -> float:
    """Of 100 real pictures so many excite the unit less; `quantiles` are its activations at `LEVELS`."""
    above = bisect_left(quantiles, activation)
    if above == 0:
        return 0.0
    if above == len(quantiles):
        return 100.0
    low, high = quantiles[above - 1], quantiles[above]
    share = (activation - low) / (high - low)
    return 100 * (LEVELS[above - 1] + share * (LEVELS[above] - LEVELS[above - 1]))
