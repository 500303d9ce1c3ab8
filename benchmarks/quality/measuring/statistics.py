"""The figures, each a function of numbers alone.

Fréchet distance. Two sets of features are described by Gaussians and compared by ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ −
2(Σ₁Σ₂)^½) (Heusel et al. 2017, arXiv 1706.08500). With a hundred pictures and 1280 features the sample
covariance has rank 99 and the usual estimate is mostly noise (real against real: 430). So covariances are
Ledoit and Wolf's (2004), shrunk towards a multiple of the identity by an amount that the sample itself
decides: no dimension is thrown away and nothing is chosen by hand. What remains of the bias depends on the
number of pictures, therefore figures compare only at equal numbers, and real against real is measured with as
many.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Gaussian:
    """`mean` [F] and `covariance` [F, F] in float64."""

    mean: Array
    covariance: Array

    @cached_property
    def root(self) -> Array:
        """The symmetric square root of the covariance; the reference of many comparisons needs it once."""
        values, vectors = np.linalg.eigh(self.covariance)
        found: Array = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        return found

    @classmethod
    def fit(cls, features: Array) -> "Gaussian":
        """The Gaussian of features [N, F] with a Ledoit-Wolf covariance.

        Raises ValueError for fewer than 2.
        """
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(
                f"expected features of at least 2 pictures, [N, F], got shape {list(features.shape)}"
            )
        wide = features.astype(np.float64)
        mean = wide.mean(axis=0)
        return cls(mean, _ledoit_wolf(wide - mean))


def _ledoit_wolf(centred: Array) -> Array:
    count, size = centred.shape
    sample = centred.T @ centred / count
    level = np.trace(sample) / size
    # Both in squared Frobenius norm: how far the sample is from the target, and how far from itself when
    # drawn anew.
    from_target = np.sum(sample**2) - size * level**2
    of_sampling = np.sum(np.sum(centred**2, axis=1) ** 2) / count**2 - np.sum(sample**2) / count
    amount = 1.0 if from_target <= 0 else min(1.0, max(0.0, of_sampling / from_target))
    shrunk: Array = (1 - amount) * sample
    shrunk[np.diag_indices(size)] += amount * level
    return shrunk


def frechet(a: Gaussian, reference: Gaussian) -> float:
    """The Fréchet distance (squared 2-Wasserstein distance) of two Gaussians, at least 0. It is symmetric."""
    # tr (ΣₐΣᵣ)^½ = tr (Σᵣ^½ Σₐ Σᵣ^½)^½, and the right one is symmetric.
    cross = np.sqrt(np.linalg.eigvalsh(reference.root @ a.covariance @ reference.root).clip(0)).sum()
    spread = np.trace(a.covariance) + np.trace(reference.covariance) - 2 * cross
    return float(max(0.0, np.sum((a.mean - reference.mean) ** 2) + spread))


TOPS = {"agreement_top1": 1, "agreement_top5": 5}
"""How many classes may stand in front, and one more."""


def agreement(ranks: Array, below: int) -> float:
    """Share of ranks [judges, N] that are below a number, mean over judges."""
    return float((ranks < below).mean())


def percentiles(values: Array, among: Array) -> Array:
    """Where each of `values` [N] stands among its own column of `among` [M, N]: 0 below all, 100 above all,
    ties half.
    """
    below = (among < values).sum(axis=0) + 0.5 * (among == values).sum(axis=0)
    standing: Array = 100 * below / len(among)
    return standing


def mean_pairwise_distance(features: Array) -> float:
    """Mean cosine distance (1 − cosine, 0 to 2) of all pairs among features [N, F]; NaN for fewer than 2."""
    count = len(features)
    if count < 2:
        return float("nan")
    directions = _directions(features)
    cosines = directions @ directions.T
    return float(1 - (cosines.sum() - np.trace(cosines)) / (count * (count - 1)))


def cosine_distances(a: Array, b: Array) -> Array:
    """Cosine distance of each row of `a` [N, F] from the same row of `b`."""
    distances: Array = 1 - np.sum(_directions(a) * _directions(b), axis=1)
    return distances


def _directions(features: Array) -> Array:
    wide = features.astype(np.float64)
    directions: Array = wide / np.linalg.norm(wide, axis=1, keepdims=True).clip(1e-12)
    return directions
