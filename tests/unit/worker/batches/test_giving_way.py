"""Bulk work steps aside for who waits, and has its share all the same."""

import random

import pytest

from services.base.errors import Unavailable
from tests.unit.worker.conftest import Clock
from worker.batches.giving_way import BULK_SHARE, LOOK_SECONDS, Bell, BulkShare, Stopwatch


@pytest.mark.parametrize("seed", range(20))
def test_bulk_has_its_share_of_every_window_however_much_interactive_work_waits(seed: int) -> None:
    draw = random.Random(seed)
    share = BulkShare()
    periods: list[tuple[str, float]] = []
    for _ in range(300):  # interactive work without end, in batches of any length
        if share.bulk_is_due:
            step = draw.choice([0.01, 0.3, 2.0])
            share.bulk(step)
            periods.append(("bulk", step))
        else:
            batch = draw.choice([0.5, 5.0, 20.0, 60.0])
            share.interactive(batch)
            periods.append(("interactive", batch))
    ends = [n + 1 for n, (lane, _) in enumerate(periods) if lane == "interactive"]
    for first in ends[:-1:7]:
        for last in ends[1::5]:
            window = periods[first:last]
            if last > first:
                bulk = sum(seconds for lane, seconds in window if lane == "bulk")
                longest = max(seconds for lane, seconds in window if lane == "interactive")
                whole = sum(seconds for _, seconds in window)
                # The last batch is answered for after the window.
                assert bulk >= BULK_SHARE * (whole - longest) - 1e-6


def test_bulk_is_owed_nothing_where_none_waits() -> None:
    share = BulkShare()
    share.interactive(1000)
    share.no_bulk()
    assert not share.bulk_is_due


def test_work_that_waits_at_two_looks_is_for_this_worker(clock: Clock) -> None:
    looks: list[float] = []
    waiting = True

    def ask() -> bool:
        looks.append(clock.now)
        return waiting

    bell = Bell(ask)
    assert not bell.someone_waits()  # an idle worker may take it
    assert not bell.someone_waits()
    assert len(looks) == 1  # steps may be short: the database is not asked at each
    clock.now += LOOK_SECONDS
    assert bell.someone_waits()
    waiting = False
    clock.now += LOOK_SECONDS
    assert not bell.someone_waits()
    waiting = True
    clock.now += LOOK_SECONDS
    assert not bell.someone_waits()
    bell.ring()  # looks at once
    assert bell.someone_waits()


def test_a_database_that_is_away_suspends_nothing(clock: Clock) -> None:
    def ask() -> bool:
        raise Unavailable("database")

    bell = Bell(ask)
    for _ in range(3):
        clock.now += 1
        assert not bell.someone_waits()


def test_the_time_that_a_batch_is_suspended_is_not_its_own(clock: Clock) -> None:
    watch = Stopwatch()
    began = watch()
    clock.now += 3
    assert watch.lap() == pytest.approx(3)
    with watch.stopped():
        clock.now += 50
    clock.now += 2
    assert watch() - began == pytest.approx(5)
    assert watch.lap() == pytest.approx(2)
