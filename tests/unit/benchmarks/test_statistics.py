import numpy as np
import pytest

from benchmarks.quality.measuring.statistics import (
    Gaussian,
    cosine_distances,
    frechet,
    mean_pairwise_distance,
    percentiles,
)


def draw(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, size))


def test_the_distance_of_a_set_from_itself_is_zero() -> None:
    features = draw(40, 100) * np.linspace(0.1, 3, 100)
    fitted = Gaussian.fit(features)
    assert frechet(fitted, Gaussian.fit(features[::-1].copy())) == pytest.approx(0, abs=1e-6)


def test_known_gaussians_have_their_known_distance() -> None:
    # One dimension each: (μ₁ − μ₂)² + (σ₁ − σ₂)².
    a = Gaussian(np.array([1.0, 5.0]), np.diag([4.0, 1.0]))
    b = Gaussian(np.array([4.0, 5.0]), np.diag([25.0, 1.0]))
    assert frechet(a, b) == pytest.approx(9 + 9)
    assert frechet(a, b) == pytest.approx(frechet(b, a))


def test_covariances_that_do_not_commute_have_their_known_distance() -> None:
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    first, second = np.diag([4.0, 1.0]), turn @ np.diag([9.0, 0.25]) @ turn.T
    # Of 2 × 2 matrices, tr √M = √(tr M + 2 √det M).
    product = first @ second
    cross = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(first) + np.trace(second) - 2 * cross
    assert frechet(Gaussian(np.zeros(2), first), Gaussian(np.zeros(2), second)) == pytest.approx(expected)


def test_the_fitted_covariance_approaches_the_true_one_and_is_shrunk_when_pictures_are_few() -> None:
    scale = np.array([3.0, 1.0, 0.5, 0.1])
    many = Gaussian.fit(draw(200_000, 4) * scale)
    np.testing.assert_allclose(many.covariance, np.diag(scale**2), atol=0.05)
    few = Gaussian.fit(draw(5, 4, seed=1) * scale)
    sample = np.cov((draw(5, 4, seed=1) * scale).T, bias=True)
    assert np.trace(few.covariance) == pytest.approx(np.trace(sample))
    assert (
        np.abs(few.covariance - np.diag(np.diag(few.covariance))).sum()
        < np.abs(sample - np.diag(np.diag(sample))).sum()
    )
    assert np.linalg.eigvalsh(few.covariance).min() > 0


def test_shrinking_takes_most_of_the_bias_of_small_sets_and_keeps_real_differences() -> None:
    size = 200
    reference, same, shifted = draw(400, size), draw(50, size, 1), draw(50, size, 2) + 1.0

    def plain(features: np.ndarray) -> Gaussian:
        return Gaussian(features.mean(0), np.cov(features.T))

    fitted = Gaussian.fit(reference)
    assert frechet(Gaussian.fit(same), fitted) < 0.3 * frechet(plain(same), plain(reference))
    assert frechet(Gaussian.fit(shifted), fitted) > frechet(Gaussian.fit(same), fitted) + 0.8 * size


def test_one_picture_has_no_gaussian() -> None:
    with pytest.raises(ValueError, match=r"at least 2 pictures.*\[1, 3\]"):
        Gaussian.fit(np.zeros((1, 3)))


def test_percentiles_stand_below_above_and_between_with_ties_by_half() -> None:
    among = np.array([[1.0, 10.0], [2.0, 10.0], [3.0, 20.0], [4.0, 20.0]])
    assert percentiles(np.array([0.0, 10.0]), among).tolist() == [0.0, 25.0]
    assert percentiles(np.array([2.5, 15.0]), among).tolist() == [50.0, 50.0]
    assert percentiles(np.array([9.0, 99.0]), among).tolist() == [100.0, 100.0]


def test_pairwise_distance_is_zero_of_copies_one_of_orthogonal_and_blind_to_scale() -> None:
    assert mean_pairwise_distance(np.array([[1.0, 2.0], [2.0, 4.0], [5.0, 10.0]])) == pytest.approx(0)
    assert mean_pairwise_distance(np.eye(4)) == pytest.approx(1)
    # Pairs: the same, and twice at right angles.
    assert mean_pairwise_distance(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 3.0]])) == pytest.approx(2 / 3)
    assert np.isnan(mean_pairwise_distance(np.ones((1, 3))))


def test_cosine_distances_go_row_by_row() -> None:
    a, b = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 5.0]])
    np.testing.assert_allclose(cosine_distances(a, b), [0.0, 1.0], atol=1e-12)
