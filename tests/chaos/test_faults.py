"""N accepted items become exactly N pictures or explained failures, whatever is killed."""

import random
import signal
import time

import pytest
import redis

from infra.local.servers import Servers
from services.base.broker import QUEUE, TASK, Doorbell
from services.queue.crash_rule import CRASHES_ALONE
from tests.worker_processes import LEASE_SECONDS, MAX_BATCH, Scene, until
from worker.process.app import create_app

pytestmark = pytest.mark.chaos
STEPS = 30
"""Enough that a batch is in its ascent for most of its time."""
LONG = 150
"""Enough that one of two or three batches is seen in its ascent, also on a fast machine."""


@pytest.mark.thorough
def test_200_items_survive_killed_workers_an_emptied_broker_and_a_database_restarted_at_once(
    scene: Scene, servers: Servers
) -> None:
    job_id = scene.submit("0-199", steps=STEPS)
    chance = random.Random(1)
    kills = 4

    for kill in range(kills):
        # Once with its parent, which starts another child: whole workers load torch anew, which takes long.
        worker = scene.start_child() if kill else scene.start_worker()
        scene.wait_until_computing()
        with redis.Redis.from_url(scene.settings.broker_url) as broker:
            broker.flushall()
        servers.postgres.restart_immediately()
        scene.wait_until_computing("after the restart")
        time.sleep(chance.uniform(0, 0.5))
        worker.kill()
    scene.start_child()
    scene.wait_until_ended(job_id)

    assert scene.check(job_id) == {"done": 200}
    assert scene.accepted() == 200  # none twice
    again = scene.computed_for_nothing()
    print(f"{again} of 200 items were in a batch that died: at most these were computed twice")
    # A worker holds two batches, one computed and one delivered; a restart of the database may cost a batch.
    assert again <= kills * 3 * MAX_BATCH


@pytest.mark.parametrize(
    "point",
    [
        "mid_batch",
        "before_commit",
        *(
            pytest.param(each, marks=pytest.mark.thorough)
            for each in ("after_claim", "after_put", "after_commit")
        ),
    ],
)
def test_a_worker_may_die_at_any_point_of_a_batch(scene: Scene, point: str) -> None:
    job_id = scene.submit("0-5")
    assert scene.start_child(IMAGO_CRASH_AT=point).wait() == -signal.SIGKILL
    scene.start_child()
    scene.wait_until_ended(job_id)

    assert scene.check(job_id) == {"done": 6}
    assert scene.accepted() == 6


def test_an_item_that_kills_its_workers_fails_and_says_so(scene: Scene) -> None:
    job_id = scene.submit("0")
    for _ in range(CRASHES_ALONE):
        child = scene.start_child(IMAGO_CRASH_AT="mid_batch")
        until(lambda: scene.hurry() or not child.running, "the item has killed its worker")  # noqa: B023
        assert child.wait() == -signal.SIGKILL
    scene.start_child()
    scene.wait_until_ended(job_id)
    assert scene.check(job_id) == {"failed": 1}
    assert [error.code for error in scene.job(job_id).errors] == ["poisoned"]


def test_a_worker_that_slept_through_its_lease_changes_nothing(scene: Scene) -> None:
    job_id = scene.submit("0-8", steps=LONG)
    sleeper = scene.start_child()
    scene.wait_until_computing()
    sleeper.send(signal.SIGSTOP)
    fence = scene.count("SELECT max(id) FROM leases")
    scene.start_child()
    scene.wait_until_ended(job_id)
    rows = scene.fingerprint(job_id)

    expired = f"kind = 'batch' AND id <= {fence} AND outcome = 'expired'"
    assert scene.count(f"SELECT count(*) FROM leases WHERE {expired}") >= 1
    sleeper.send(signal.SIGCONT)
    following = scene.submit("40-43")  # the sleeper is well again afterwards
    scene.workers[-1].kill()
    scene.workers.pop()
    scene.wait_until_ended(following)
    assert scene.fingerprint(job_id) == rows
    assert scene.check(job_id) == {"done": 9}


@pytest.mark.thorough
def test_a_dead_child_is_replaced_and_a_dead_parent_takes_its_child_along(scene: Scene) -> None:
    job_id = scene.submit("0-15", steps=LONG)
    worker = scene.start_worker()
    scene.wait_until_computing()
    first = worker.child()
    first.kill()
    scene.wait_until_ended(job_id)

    assert scene.check(job_id) == {"done": 16}
    second = worker.child()
    assert second.pid != first.pid
    worker.send(signal.SIGKILL)
    until(lambda: not second.is_running() or second.status() == "zombie", "the child has ended")


@pytest.mark.thorough
def test_without_any_broker_the_work_is_done_and_a_dead_child_is_replaced(
    scene: Scene, servers: Servers
) -> None:
    servers.valkey.kill()
    job_id = scene.submit("0-15", steps=LONG)
    worker = scene.start_worker()
    scene.wait_until_computing()
    worker.child().kill()
    scene.wait_until_ended(job_id)

    assert scene.check(job_id) == {"done": 16}
    assert worker.end() == 0


def test_doorbells_wake_a_worker_and_repeated_ones_are_harmless(scene: Scene, servers: Servers) -> None:
    worker = scene.start_worker(IMAGO_POLL_SECONDS="3000")  # it hears of work by the bell only
    worker.child()
    servers.valkey.restart()  # and it finds a broker again that came back empty
    job_id = scene.submit("0-23")
    doorbell = Doorbell(scene.settings.broker_url)

    def rung() -> bool:
        for _ in range(100):
            doorbell.ring("interactive")
        return scene.job(job_id).ended

    until(rung, "a doorbell has been heard")
    with redis.Redis.from_url(scene.settings.broker_url) as broker:
        waiting = sum(broker.llen(key) for key in broker.scan_iter() if broker.type(key) == b"list")
    assert waiting <= 20
    assert scene.check(job_id) == {"done": 24}
    assert scene.accepted() == 24


@pytest.mark.thorough
def test_doorbells_that_nobody_heard_in_time_are_passed_over_in_silence(scene: Scene) -> None:
    worker = scene.start_worker()
    worker.child()
    app = create_app(scene.settings)
    with redis.Redis.from_url(scene.settings.broker_url) as broker:
        for _ in range(3):
            app.send_task(TASK, queue=QUEUE, expires=0.001, ignore_result=True)
        until(lambda: broker.llen(QUEUE) == 0, "the doorbells have been taken")
    assert worker.end() == 0
    assert "ready" in worker.log.read_text()
    assert "revoked" not in worker.log.read_text()


@pytest.mark.thorough
def test_the_store_may_be_away_for_longer_than_a_lease(scene: Scene, servers: Servers) -> None:
    job_id = scene.submit("0-11", steps=LONG)
    scene.start_child()
    scene.wait_until_computing()
    servers.seaweedfs.kill()
    time.sleep(LEASE_SECONDS * 1.1)
    servers.seaweedfs.restart()
    scene.wait_until_ended(job_id)
    assert scene.check(job_id) == {"done": 12}
    assert scene.count("SELECT sum(attempt + crash_count) FROM visualizations") == 0


def test_the_database_may_be_away_for_longer_than_a_lease(scene: Scene, servers: Servers) -> None:
    job_id = scene.submit("0-15", steps=LONG)
    scene.start_child()
    scene.wait_until_computing()
    servers.postgres.kill()
    time.sleep(LEASE_SECONDS * 1.1)
    servers.postgres.restart()
    scene.wait_until_ended(job_id)
    assert scene.check(job_id) == {"done": 16}
    assert scene.count("SELECT sum(attempt + crash_count) FROM visualizations") == 0  # nobody's fault
