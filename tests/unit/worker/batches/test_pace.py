"""What is slow is not taken for what hangs."""

import threading
import time

import pytest

from worker.batches.pace import FIRST, TIMES_SLOWEST, Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("worker.batches.pace.time.monotonic", clock)
    return clock


def hangs(pace: Pace) -> bool:
    return pace.hangs


def test_the_first_step_may_take_much_longer_than_later_ones(clock: Clock) -> None:
    pace = Pace(hung_seconds=10)
    with pace.computing():
        clock.now = 10 * FIRST
        assert not hangs(pace)
        clock.now += 1
        assert hangs(pace)


def test_steps_that_were_slow_from_the_beginning_may_stay_so(clock: Clock) -> None:
    pace = Pace(hung_seconds=10)
    with pace.computing():
        for _ in range(5):
            clock.now += 50
            pace.tick()
        clock.now += 50 * TIMES_SLOWEST
        assert not hangs(pace)
        clock.now += 1
        assert hangs(pace)


def test_a_step_that_never_ends_after_quick_ones_hangs(clock: Clock) -> None:
    pace = Pace(hung_seconds=10)
    with pace.computing():
        for _ in range(100):
            clock.now += 0.1
            pace.tick()
        clock.now += 9
        assert not hangs(pace)
        clock.now += 2
        assert hangs(pace)
    assert not hangs(pace)  # nothing is computed any more


def test_while_something_else_is_done_no_progress_is_expected(clock: Clock) -> None:
    pace = Pace(hung_seconds=10)
    with pace.computing():
        pace.tick()
        clock.now += 8
        with pace.suspended():
            clock.now += 1000
            assert not hangs(pace)
        assert not hangs(pace)
        clock.now += 3  # of its own it has stood for 11 seconds
        assert hangs(pace)


def test_a_load_goes_on_while_its_thread_uses_the_processor_and_hangs_when_it_waits_for_ever() -> None:
    pace = Pace(hung_seconds=0.1)
    works, waits, end = threading.Event(), threading.Event(), threading.Event()

    def load() -> None:
        with pace.busy():
            while not works.is_set():
                sum(range(1000))
            waits.set()
            end.wait()

    thread = threading.Thread(target=load)
    thread.start()
    until = time.monotonic() + 3 * FIRST * 0.1
    while time.monotonic() < until:
        assert not hangs(pace)
        time.sleep(0.02)
    works.set()
    waits.wait()
    deadline = time.monotonic() + 60
    while not hangs(pace):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    end.set()
    thread.join()
