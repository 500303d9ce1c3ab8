"""Places of vectors, without UMAP: those of few, and of those that it is not fitted to."""

import numpy as np
import pytest

from worker.maps import files, placing
from worker.maps.placing import NEIGHBOURS


def two_groups(count: int) -> np.ndarray:
    """Vectors that point two ways, in turn."""
    draw = np.random.default_rng(1)
    ways = draw.normal(size=(2, 16))
    return (ways[np.arange(count) % 2] + 0.05 * draw.normal(size=(count, 16))).astype(np.float16)


@pytest.mark.parametrize("count", [1, 2, 3, NEIGHBOURS - 1])
def test_few_vectors_have_places_in_the_unit_square(count: int) -> None:
    placed = placing.places(two_groups(count))
    assert placed.shape == (count, 2)
    assert ((placed >= 0) & (placed <= 1)).all()
    assert len({*map(tuple, placed.tolist())}) == count
    assert (placed == placing.places(two_groups(count))).all()


def test_equal_vectors_lie_in_the_middle() -> None:
    assert np.allclose(placing.places(np.ones((5, 16), dtype=np.float16)), 0.5)


@pytest.mark.parametrize("count", [NEIGHBOURS, 600, 1500])
def test_those_beyond_the_sample_lie_among_those_that_they_are_like(count: int) -> None:
    fitted = NEIGHBOURS - 1
    placed = placing.places(two_groups(count), fitted=fitted)
    assert placed.shape == (count, 2)
    groups = np.arange(count) % 2
    middles = np.array([placed[:fitted][groups[:fitted] == group].mean(axis=0) for group in (0, 1)])
    nearest = np.linalg.norm(placed[:, None] - middles[None], axis=2).argmin(axis=1)
    assert (nearest == groups).all()


def test_umap_is_told_the_nearest_of_each_vector_itself_among_them_at_no_distance() -> None:
    vectors = np.random.default_rng(2).normal(size=(1200, 16)).astype(np.float32)
    vectors[5] = 2 * vectors[6]  # of one direction
    indices, distances = placing.neighbours(vectors)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = directions @ directions.T
    assert (np.sort(indices) == np.sort(np.argsort(-cosines)[:, :NEIGHBOURS])).all()
    assert (indices[:, 0] == np.arange(1200)).all()
    assert (distances[:, 0] == 0).all()
    assert (np.diff(distances) >= 0).all()
    assert np.allclose(distances[7], 1 - cosines[7, indices[7]], atol=1e-6)


def test_what_has_no_direction_has_neighbours_all_the_same() -> None:
    indices, distances = placing.neighbours(np.zeros((40, 16), dtype=np.float32))
    assert indices.shape == distances.shape == (40, NEIGHBOURS)
    assert np.isin(distances, (0, 1)).all()


def test_the_order_is_random_the_same_each_time_and_leaves_nothing_out() -> None:
    order = placing.shuffled(1000)
    assert sorted(order) == list(range(1000))
    assert list(order) == list(placing.shuffled(1000))
    assert 300 < order[:100].mean() < 700


def test_a_hundred_thousand_points_are_less_than_one_and_a_half_megabytes() -> None:
    count = 100_000
    places = np.zeros((count, 2), dtype=np.float32)
    content = files.points(places, np.zeros(count, dtype=np.uint32), np.zeros(count, dtype=np.uint16))
    assert len(content) == 16 + 14 * count < 1_500_000
