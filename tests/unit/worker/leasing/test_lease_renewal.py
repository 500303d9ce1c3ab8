import threading
import time
from collections.abc import Callable

import pytest

from services.base.errors import Unavailable
from services.queue.leases import Pulse
from worker.leasing.lease_renewal import EverythingCanceled, LeaseKeeper, LeaseLost, Stopping
from worker.process.stopping import StopFlag

ALIVE = Pulse(alive=True, canceled=frozenset())


def keeper(pulse: Callable[[int], Pulse], **changes: float) -> LeaseKeeper:
    made = LeaseKeeper(
        pulse,
        lease_seconds=changes.get("lease_seconds", 60),
        heartbeat_seconds=0.01,
        confirmed_at=changes.get("confirmed_at", time.monotonic()),
        stop=StopFlag(),
    )
    made.start()
    return made


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.005)


def test_the_step_counter_travels_with_the_pulse() -> None:
    seen: list[int] = []

    def pulse(steps: int) -> Pulse:
        seen.append(steps)
        return ALIVE

    lease = keeper(pulse)
    lease.step()
    lease.step()
    until(lambda: bool(seen) and seen[-1] == 2)
    lease.stop()


def test_a_lease_that_the_database_ended_stops_the_computation_and_the_delivery() -> None:
    lease = keeper(lambda steps: Pulse(alive=False, canceled=frozenset()))
    until(lambda: lease.fenced)
    assert not lease.may_finish
    with pytest.raises(LeaseLost):
        lease.step()


def test_a_worker_without_a_heartbeat_fences_itself_before_its_lease_ends() -> None:
    def dead(steps: int) -> Pulse:
        raise Unavailable("database")

    lease = keeper(dead, lease_seconds=1000, confirmed_at=time.monotonic() - 850)
    with pytest.raises(LeaseLost):
        lease.step()
    assert lease.may_finish  # the lease itself is not over: a finished batch may still be handed in
    lease.stop()


def test_nothing_is_delivered_once_the_lease_is_over_though_nobody_could_say_so() -> None:
    def dead(steps: int) -> Pulse:
        raise Unavailable("database")

    lease = keeper(dead, lease_seconds=1000, confirmed_at=time.monotonic() - 1001)
    assert not lease.may_finish
    lease.stop()


def test_a_heartbeat_that_hangs_does_not_keep_the_worker_from_fencing_itself() -> None:
    release = threading.Event()

    def hangs(steps: int) -> Pulse:
        release.wait()
        return ALIVE

    lease = keeper(hangs, lease_seconds=0.2)
    until(lambda: lease.fenced)
    with pytest.raises(LeaseLost):
        lease.check()
    release.set()
    lease.stop()


def test_a_lease_is_renewed_from_before_its_pulse_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows when within a slow pulse the database has renewed it."""
    clock, passed = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + passed[0])
    second, end = threading.Event(), threading.Event()

    def slow(steps: int) -> Pulse:
        if passed[0]:
            second.set()
            end.wait(20)
        passed[0] = 9.0  # that long the first one takes
        return ALIVE

    lease = keeper(slow, lease_seconds=10)
    assert second.wait(20)
    assert lease.fenced
    lease.stop()
    end.set()


def test_heartbeats_that_succeed_again_lift_the_fence() -> None:
    pulses = iter([Unavailable("database"), Unavailable("database")])

    def flaky(steps: int) -> Pulse:
        for error in pulses:
            raise error
        return ALIVE

    lease = keeper(flaky, lease_seconds=1000, confirmed_at=time.monotonic() - 850)
    until(lambda: not lease.fenced)
    lease.check()
    lease.stop()


def test_a_batch_goes_on_while_someone_wants_one_of_its_items() -> None:
    unwanted = {"a"}
    lease = keeper(lambda steps: Pulse(alive=True, canceled=frozenset(unwanted)))
    with lease.computing(["a", "b"]):
        until(lambda: lease.canceled == {"a"})
        lease.step()
        unwanted.add("b")
        until(lambda: lease.canceled == {"a", "b"})
        with pytest.raises(EverythingCanceled):
            lease.step()
    lease.stop()


def test_a_batch_ends_when_none_of_its_own_items_is_wanted_whatever_else_the_lease_holds() -> None:
    lease = keeper(lambda steps: Pulse(alive=True, canceled=frozenset({"a"})))
    until(lambda: lease.canceled == {"a"})
    lease.check()  # nothing is computed
    with lease.computing(["b"]):
        lease.step()
    with pytest.raises(EverythingCanceled), lease.computing(["a"]):
        pass
    lease.stop()


def test_a_stop_is_noticed_at_the_next_step() -> None:
    stop = StopFlag()
    lease = LeaseKeeper(
        lambda steps: ALIVE,
        lease_seconds=60,
        heartbeat_seconds=1,
        confirmed_at=time.monotonic(),
        stop=stop,
    )
    lease.step()
    stop.ask(grace_seconds=100)
    with pytest.raises(Stopping):
        lease.step()
    assert lease.may_finish  # within the grace period a delivery is seen through


def test_a_computation_that_hangs_ends_the_process_and_a_slow_load_does_not() -> None:
    hung = threading.Event()
    lease = LeaseKeeper(
        lambda steps: ALIVE,
        lease_seconds=60,
        heartbeat_seconds=0.01,
        confirmed_at=time.monotonic(),
        stop=StopFlag(),
        hung_seconds=0.1,
        on_hung=hung.set,
    )
    lease.start()
    assert not hung.wait(0.5)
    with lease.computing(["a"]):
        assert hung.wait(20)


def test_what_is_seen_through_is_not_interrupted_by_a_stop_and_ends_the_process_where_it_hangs() -> None:
    hung, stop = threading.Event(), StopFlag()
    lease = LeaseKeeper(
        lambda steps: ALIVE,
        lease_seconds=60,
        heartbeat_seconds=0.01,
        confirmed_at=time.monotonic(),
        stop=stop,
        hung_seconds=0.1,
        on_hung=hung.set,
    )
    stop.ask(grace_seconds=100)
    lease.start()
    with lease.watched():
        assert hung.wait(20)


def test_a_heartbeat_survives_whatever_a_pulse_raises() -> None:
    errors = iter([RuntimeError("a defect"), KeyError("another")])

    def flaky(steps: int) -> Pulse:
        for error in errors:
            raise error
        return ALIVE

    lease = keeper(flaky, lease_seconds=1000, confirmed_at=time.monotonic() - 850)
    until(lambda: not lease.fenced)
    lease.stop()
