"""The short form of `make soak`: the faults that cost least time, each once, and the whole oracle."""

import pytest

from infra.local.servers import Servers
from tests.soak.run import Plan, soak
from tests.worker_processes import Scene

pytestmark = pytest.mark.chaos


@pytest.mark.thorough
def test_a_short_soak_loses_nothing_and_leaves_nothing(scene: Scene, servers: Servers) -> None:
    plan = Plan(
        items=250,
        seconds=30,
        seed=3,
        workers=2,
        pause=1.0,
        longest_pause=10.0,
        waiting=200,
        largest=60,
        calm_seconds=500,
        faults=(
            "worker killed at a named point",
            "broker emptied",
            "store answers 500",
            "8 identical submits",
            "child killed",
            "database restarted at once",
            "job canceled",
            "worker killed",
            "job retried",
        ),
    )
    outcome = soak(scene, servers, plan, report=print)
    assert outcome.faults == []
    assert outcome.accepted >= 100
    assert set(outcome.items) <= {"done", "unreachable"}
    assert set(outcome.injected) == set(plan.faults)
