"""N accepted items become exactly N pictures or explained failures, whatever is killed."""

import random
import signal
import time

import pytest
import redis

from infra.local.servers import Servers
from services.broker import Doorbell
from tests.worker_scene import LEASE_SECONDS, MAX_BATCH, Scene, until

pytestmark = pytest.mark.chaos
STEPS = 60
"""Enough that a batch is in its ascent for most of its time."""


def test_200_items_survive_killed_workers_an_emptied_broker_and_a_database_restarted_at_once(
    scene: Scene, servers: Servers
) -> None:
    job_id = scene.submit("0-199", steps=STEPS)
    chance = random.Random(1)
    kills = 4
    for kill in range(kills):
        worker = scene.start_worker()
        until(scene.computing, "a batch is being computed")
        with redis.Redis.from_url(servers.valkey.url) as broker:
            broker.flushall()
        if kill % 2 == 1:
            servers.postgres.restart_immediately()
            until(scene.computing, "a batch is being computed after the restart")
        time.sleep(chance.uniform(0, 0.5))
        worker.kill()
    scene.start_worker()
    scene.wait_until_ended(job_id)

    assert scene.check(job_id) == {"done": 200}
    assert scene.computed_for_nothing() <= (kills + 2) * 2 * MAX_BATCH
    assert scene.count("SELECT coalesce(sum(settled), 0) FROM leases") == 200  # each was accepted once


@pytest.mark.parametrize("point", ["after_claim", "mid_batch", "after_put", "before_commit", "after_commit"])
def test_a_worker_may_die_at_any_point_of_a_batch(scene: Scene, point: str) -> None:
    job_id = scene.submit("0-11")
    marker = scene.folder / "crashed"
    scene.start_worker(IMAGO_CRASH_AT=point, IMAGO_CRASH_ONCE=str(marker))
    scene.wait_until_ended(job_id)

    assert marker.exists()
    assert scene.check(job_id) == {"done": 12}
    assert scene.count("SELECT coalesce(sum(settled), 0) FROM leases") == 12


def test_only_the_child_is_killed_and_its_parent_starts_another(scene: Scene) -> None:
    job_id = scene.submit("0-39", steps=STEPS)
    worker = scene.start_worker()
    until(scene.computing, "a batch is being computed")
    first = worker.child()
    first.kill()
    scene.wait_until_ended(job_id)

    assert scene.check(job_id) == {"done": 40}
    assert worker.child().pid != first.pid


def test_when_the_parent_is_killed_its_child_goes_too(scene: Scene) -> None:
    worker = scene.start_worker()
    child = worker.child()
    worker.send(signal.SIGKILL)
    until(lambda: not child.is_running() or child.status() == "zombie", "the child has ended")


def test_an_item_that_kills_its_worker_fails_and_the_others_do_not(scene: Scene) -> None:
    job_id = scene.submit("0-3")
    scene.start_worker(IMAGO_CRASH_AT="mid_batch")
    until(lambda: scene.job(job_id).ended, "every item has killed its worker often enough")
    assert scene.check(job_id) == {"failed": 4}
    assert scene.count("SELECT count(*) FROM visualizations WHERE error->>'code' = 'poisoned'") == 4


def test_a_worker_that_slept_through_its_lease_changes_nothing(scene: Scene) -> None:
    job_id = scene.submit("0-39", steps=STEPS)
    sleeper = scene.start_worker()
    until(scene.computing, "a batch is being computed")
    sleeper.send_all(signal.SIGSTOP)
    held = scene.count("SELECT max(id) FROM leases")
    other = scene.start_worker()
    scene.wait_until_ended(job_id)
    other.end()
    before = scene.count("SELECT sum(hashtext(v::text)::bigint) FROM visualizations v")

    sleeper.send_all(signal.SIGCONT)
    until(lambda: "lease_lost" in sleeper.log.read_text() or "late=" in sleeper.log.read_text(), "it woke up")
    time.sleep(LEASE_SECONDS)
    assert scene.count("SELECT sum(hashtext(v::text)::bigint) FROM visualizations v") == before
    assert scene.check(job_id) == {"done": 40}
    assert scene.count(f"SELECT count(*) FROM leases WHERE id <= {held} AND outcome = 'expired'") >= 1


def test_without_any_broker_the_work_is_done_and_a_dead_child_is_replaced(
    scene: Scene, servers: Servers
) -> None:
    servers.valkey.kill()
    job_id = scene.submit("0-39", steps=STEPS)
    worker = scene.start_worker()
    until(scene.computing, "a batch is being computed")
    worker.child().kill()
    scene.wait_until_ended(job_id)

    assert scene.check(job_id) == {"done": 40}
    assert worker.end() == 0


def test_a_broker_that_comes_back_empty_rings_again(scene: Scene, servers: Servers) -> None:
    worker = scene.start_worker(IMAGO_POLL_SECONDS="3000")
    worker.child()
    servers.valkey.restart()
    job_id = scene.submit("0-3")
    doorbell = Doorbell(scene.settings.broker_url)

    def rung() -> bool:
        doorbell.ring("interactive")
        return scene.job(job_id).ended

    until(rung, "a doorbell has been heard")
    assert scene.check(job_id) == {"done": 4}


def test_repeated_doorbells_are_harmless_and_do_not_pile_up(scene: Scene, servers: Servers) -> None:
    job_id = scene.submit("0-39")
    scene.start_worker()
    doorbell = Doorbell(scene.settings.broker_url)
    for _ in range(300):
        doorbell.ring("interactive")
    with redis.Redis.from_url(servers.valkey.url) as broker:
        waiting = sum(broker.llen(key) for key in broker.scan_iter() if broker.type(key) == b"list")
        assert waiting <= 20
    scene.wait_until_ended(job_id)
    assert scene.check(job_id) == {"done": 40}
    assert scene.count("SELECT coalesce(sum(settled), 0) FROM leases") == 40


def test_the_store_may_be_away_for_longer_than_a_lease(scene: Scene, servers: Servers) -> None:
    job_id = scene.submit("0-11", steps=STEPS)
    scene.start_worker()
    until(scene.computing, "a batch is being computed")
    servers.seaweedfs.kill()
    time.sleep(LEASE_SECONDS * 1.5)
    servers.seaweedfs.restart()
    scene.wait_until_ended(job_id)
    assert scene.check(job_id) == {"done": 12}
    assert scene.count("SELECT coalesce(max(attempt), 0) FROM visualizations") == 0


def test_the_database_may_be_away_for_longer_than_a_lease(scene: Scene, servers: Servers) -> None:
    job_id = scene.submit("0-39", steps=STEPS)
    scene.start_worker()
    until(scene.computing, "a batch is being computed")
    servers.postgres.kill()
    time.sleep(LEASE_SECONDS * 1.5)
    servers.postgres.restart()
    scene.wait_until_ended(job_id)
    assert scene.check(job_id) == {"done": 40}
    assert scene.count("SELECT coalesce(max(attempt), 0) FROM visualizations") == 0
