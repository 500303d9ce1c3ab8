"""Labels of regions: named by what tells them from the rest, and by nothing where nothing does."""

import numpy as np

from worker.maps import clusters
from worker.maps.clusters import LEVELS


def islands(sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Places of as many groups far from each other, and the number of the group of each."""
    draw = np.random.default_rng(3)
    group = np.repeat(np.arange(len(sizes)), sizes)
    angle = 2 * np.pi * group / len(sizes)
    around = 0.5 + 0.45 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (around + 0.01 * draw.normal(size=(len(group), 2))).astype(np.float32), group.astype(np.int32)


def test_each_region_is_called_by_what_its_units_are_seen_as_and_lies_where_these_are() -> None:
    places, group = islands([100] * LEVELS[0])
    names = [f"label {number}" for number in range(LEVELS[0])]
    coarse, *finer = clusters.labels(places, group, names)
    assert {each["label"] for each in coarse} == {*names}
    for each in coarse:
        assert (each["units"], each["of"]) == (100, 100)
        near = np.linalg.norm(places - (each["x"], each["y"]), axis=1).argmin()
        assert names[group[near]] == each["label"]
    assert [len(level) > len(coarse) for level in finer] == [True, True]


def test_a_region_is_called_by_what_is_rare_elsewhere_and_not_by_what_is_everywhere() -> None:
    places, group = islands([100] * LEVELS[0])
    everywhere = LEVELS[0]
    said = np.where(np.arange(len(group)) % 5 < 3, everywhere, group).astype(np.int32)
    coarse = clusters.labels(places, said, [*(f"label {n}" for n in range(everywhere)), "texture"])[0]
    assert {each["label"] for each in coarse} == {f"label {n}" for n in range(everywhere)}
    assert all((each["units"], each["of"]) == (40, 100) for each in coarse)


def test_what_few_units_are_seen_as_names_no_region() -> None:
    places, group = islands([100] * LEVELS[0])
    nothing = np.full(len(group), -1, dtype=np.int32)
    assert clusters.labels(places, nothing, []) == [[]] * len(LEVELS)
    once = np.arange(len(group), dtype=np.int32)
    assert clusters.labels(places, once, [str(n) for n in once]) == [[]] * len(LEVELS)


def test_few_units_make_one_region() -> None:
    places, _ = islands([3, 2])
    labels = clusters.labels(places, np.array([0, 0, 0, 1, -1], dtype=np.int32), ["a", "b"])
    assert [[(each["label"], each["units"], each["of"]) for each in level] for level in labels] == [
        [("a", 3, 5)]
    ]
    one = clusters.labels(places[:1], np.array([0], dtype=np.int32), ["a"])
    assert [each["label"] for each in one[0]] == ["a"]
