"""What is slow is not taken for what hangs."""

import threading
import time

from tests.unit.worker.conftest import Clock
from worker.leasing.hang_detection import FIRST, TIMES_SLOWEST, HangDetector


def hangs(detector: HangDetector) -> bool:
    return detector.hangs


def test_the_first_step_may_take_much_longer_than_later_ones(clock: Clock) -> None:
    detector = HangDetector(hung_seconds=10)
    with detector.computing():
        clock.now += 10 * FIRST
        assert not hangs(detector)
        clock.now += 1
        assert hangs(detector)


def test_steps_that_were_slow_from_the_beginning_may_stay_so(clock: Clock) -> None:
    detector = HangDetector(hung_seconds=10)
    with detector.computing():
        for _ in range(5):
            clock.now += 50
            detector.tick()
        clock.now += 50 * TIMES_SLOWEST
        assert not hangs(detector)
        clock.now += 1
        assert hangs(detector)


def test_a_step_that_never_ends_after_quick_ones_hangs(clock: Clock) -> None:
    detector = HangDetector(hung_seconds=10)
    with detector.computing():
        for _ in range(100):
            clock.now += 0.1
            detector.tick()
        clock.now += 9
        assert not hangs(detector)
        clock.now += 2
        assert hangs(detector)
    assert not hangs(detector)  # nothing is computed any more


def test_while_something_else_is_done_no_progress_is_expected(clock: Clock) -> None:
    detector = HangDetector(hung_seconds=10)
    with detector.computing():
        detector.tick()
        clock.now += 8
        with detector.suspended():
            clock.now += 1000
            assert not hangs(detector)
        assert not hangs(detector)
        clock.now += 3  # of its own it has stood for 11 seconds
        assert hangs(detector)


def test_a_load_goes_on_while_its_thread_uses_the_processor_and_hangs_when_it_waits_for_ever() -> None:
    detector = HangDetector(hung_seconds=0.1)
    works, waits, end = threading.Event(), threading.Event(), threading.Event()

    def load() -> None:
        with detector.busy():
            while not works.is_set():
                sum(range(1000))
            waits.set()
            end.wait()

    thread = threading.Thread(target=load)
    thread.start()
    until = time.monotonic() + 3 * FIRST * 0.1
    while time.monotonic() < until:
        assert not hangs(detector)
        time.sleep(0.02)
    works.set()
    waits.wait()
    deadline = time.monotonic() + 60
    while not hangs(detector):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    end.set()
    thread.join()
