"""The benchmark of hidden units: which units it takes, and what it counts as reached."""

from benchmarks.quality.hidden.command import random_units
from benchmarks.quality.hidden.outcome import Seen, counts, summary


def test_more_units_only_add_to_those_that_were_taken_before() -> None:
    few, many = random_units("a b", 50, 8), random_units("a b", 50, 30)
    assert many[:8] == few
    assert len(set(many)) == 30
    assert set(many) <= set(range(50))
    assert random_units("a c", 50, 30) != many


def test_a_layer_of_fewer_units_gives_all_of_them() -> None:
    assert sorted(random_units("a", 5, 30)) == [0, 1, 2, 3, 4]


def test_of_the_units_that_a_prototype_excites_those_count_that_end_at_it_or_above() -> None:
    seen = [
        Seen(0, best=6.0, activation=6.0, status="done"),
        Seen(1, best=6.0, activation=5.9, status="done"),
        Seen(2, best=6.0, activation=6.0, status="unreachable"),
        Seen(3, best=0.0, activation=0.0, status="unreachable"),
        Seen(4, best=0.0, activation=1.0, status="done"),
    ]
    assert counts(seen) == {
        "units": 5,
        "excited": 3,
        "done": 3,
        "reached": 1,
        "share": 1 / 3,
        "unreachable": 2,
    }


def test_units_that_are_not_reached_are_named() -> None:
    lost = Seen(1, best=6.0, activation=5.9, status="done")
    said = summary({("net", "a"): [Seen(0, best=6.0, activation=6.0, status="done"), lost]}, 2)
    assert said["missed"] == [
        {"network": "net", "layer": "a", "unit": 1, "best": 6.0, "activation": 5.9, "status": "done"}
    ]
