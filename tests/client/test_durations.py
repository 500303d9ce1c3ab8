"""Times in words."""

import pytest

from imago.cli.durations import time_left


@pytest.mark.parametrize(
    ("likely", "bounds", "words"),
    [
        (250, (220, 280), "about 4 min"),
        (250, None, "about 4 min"),
        (42, (38, 46), "about 40 s"),
        (7, (6.5, 8), "about 7 s"),
        (0, (0, 0), "about 1 s"),
        (12_000, (11_000, 13_000), "about 3 h"),
        (400_000, (390_000, 410_000), "about 5 days"),
        (400, (240, 700), "4 to 12 min"),
        (30, (10, 80), "10 to 80 s"),
        (100, (20, 900), "up to 15 min"),
        (100_000, (50_000, 170_000), "13 to 48 h"),
        (900_000, (300_000, 2_000_000), "3 to 24 days"),
    ],
)
def test_what_is_known_well_is_one_figure_and_what_is_not_is_two(
    likely: float, bounds: tuple[float, float] | None, words: str
) -> None:
    assert time_left(likely, bounds) == words
