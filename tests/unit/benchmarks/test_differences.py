"""Differences between techniques, with intervals that say how sure they are."""

import numpy as np

from benchmarks.quality.measuring.differences import compared, interval
from benchmarks.quality.measuring.judged import Judged
from benchmarks.quality.measuring.report import differences
from benchmarks.quality.measuring.statistics import Array, Gaussian, agreement

FEATURES = np.random.default_rng(3).normal(size=(30, 4))


def judged(ranks: Array, features: Array = FEATURES) -> Judged:
    return Judged(("one", "other"), ranks, features, np.full(5, 0.3))


def hard_and_easy(shift: int = 0) -> Array:
    """[2 judges, 300 classes, 2 seeds]: a class is as hard for all."""
    of_class = np.random.default_rng(1).integers(0, 10, (1, 300, 1))
    return np.broadcast_to(of_class + shift, (2, 300, 2))


def test_the_interval_of_a_difference_is_about_it() -> None:
    ranks = np.random.default_rng(1).integers(0, 10, (2, 300)).astype(np.float64)
    low, high = interval(lambda kept: agreement(ranks[:, kept], 5), 300, 500)
    assert low < agreement(ranks, 5) < high
    assert 0.05 < high - low < 0.15


def test_a_technique_does_not_differ_from_itself() -> None:
    same = judged(hard_and_easy())
    found = compared(same, same, Gaussian.fit(FEATURES), 3)
    assert all(value == {"difference": 0.0, "interval": (0.0, 0.0)} for value in found.values())
    assert found.keys() == {"agreement_top1", "agreement_top5", "diversity", "frechet"}


def test_classes_are_paired_so_that_a_small_gain_on_all_is_sure() -> None:
    found = compared(judged(hard_and_easy(1)), judged(hard_and_easy()), Gaussian.fit(FEATURES), 0)
    gained = found["agreement_top5"]
    # A tenth of the classes, those of rank 4, come among the first five: to either judge, with either seed.
    low, high = gained["interval"]
    assert 0 < low < gained["difference"] < high
    assert high - low < 0.08
    assert "frechet" not in found


def test_features_further_from_photographs_are_at_a_greater_distance() -> None:
    near, far = (judged(hard_and_easy(), FEATURES + shift) for shift in (0, 3))
    found = compared(near, far, Gaussian.fit(FEATURES), 20)["frechet"]
    assert found["interval"][0] > 0
    assert "| far | frechet | +" in differences([{"technique": "far", "minus": {"frechet": found}}], "minus")
