"""Rates of what happens evenly, in bursts, and no longer."""

from datetime import UTC, datetime, timedelta

import pytest

from services.estimates.rates import current, noted

START = datetime(2030, 1, 1, tzinfo=UTC)


def _after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _run(every: float, count: int, seconds: float) -> tuple[float, datetime]:
    """A job that ends `count` items every so many seconds."""
    rate, at, now = None, None, 0.0
    while now + every <= seconds:
        now += every
        rate, at = noted(rate, at, count, _after(now)), _after(now)
    assert rate is not None
    assert at is not None
    return rate, at


@pytest.mark.parametrize("seconds", [30, 60, 600, 6000])
@pytest.mark.parametrize(("every", "count"), [(0.1, 1), (1, 10), (10, 100)])
def test_what_happens_ten_times_a_second_has_the_rate_ten(every: float, count: int, seconds: float) -> None:
    rate, at = _run(every, count, seconds)
    assert current(rate, at, START, _after(seconds)) == pytest.approx(10, rel=0.2)


def test_a_change_shows_within_minutes() -> None:
    rate, at = _run(1, 10, 600)
    for second in range(601, 781):
        rate, at = noted(rate, at, 1, _after(second)), _after(second)
    assert current(rate, at, START, _after(780)) == pytest.approx(1, rel=0.6)


def test_what_has_not_happened_for_long_has_no_rate() -> None:
    rate, at = _run(1, 10, 60)
    assert current(None, None, START, _after(1)) is None
    assert current(rate, at, START, _after(60 + 301)) is None
    later = current(rate, at, START, _after(120))
    assert later is not None
    assert later < 6
