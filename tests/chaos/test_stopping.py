"""Stopping work: of a worker, without cost to the items, and of a job, without delay."""

import signal
import time
from pathlib import Path

import pytest

from services.jobs import jobs
from tests.worker_processes import Scene, loaded, until
from worker.process.child import STOP_SIGNAL

pytestmark = pytest.mark.chaos
STEPS = 10
ENDLESS = 2000
"""Steps of an ascent that would go on for much longer than the test."""


def test_a_worker_told_to_end_gives_its_batch_back_and_charges_nothing(scene: Scene) -> None:
    job_id = scene.submit("0-7", steps=ENDLESS)
    worker = scene.start_worker()
    scene.wait_until_computing()
    assert worker.end() == 0

    units = scene.job(job_id).units
    assert (units.queued, units.leased) == (8, 0)
    assert scene.count("SELECT sum(attempt + crash_count) FROM visualizations") == 0
    assert scene.count("SELECT count(*) FROM leases WHERE kind = 'batch' AND outcome = 'released'") == 1
    assert scene.count("SELECT count(*) FROM workers WHERE state = 'stopped'") == 1
    assert not worker.family()


@pytest.mark.thorough
def test_sigterm_to_all_processes_at_once_and_again_and_again_is_no_worse(scene: Scene) -> None:
    job_id = scene.submit("0-7", steps=ENDLESS)
    worker = scene.start_worker()
    scene.wait_until_computing()
    worker.send_all(signal.SIGTERM)
    for _ in range(50):  # some of them interrupt what handles an earlier one
        worker.send(signal.SIGTERM)
        time.sleep(0.001)
    assert worker.end() == 0
    assert scene.job(job_id).units.queued == 8
    assert scene.count("SELECT sum(attempt + crash_count) FROM visualizations") == 0


def test_a_worker_whose_step_never_ends_gives_its_batch_back_and_ends(scene: Scene, tmp_path: Path) -> None:
    job_id = scene.submit("0-7", steps=STEPS)
    hangs = tmp_path / "hangs"
    worker = scene.start_child(
        IMAGO_CRASH_AT="mid_batch",
        IMAGO_CRASH_HOW="hang",
        IMAGO_CRASH_ONCE=str(hangs),
        IMAGO_STOP_SECONDS="16",  # of which it has ten for the step; the rest is enough on a busy machine
    )
    until(hangs.exists, "a step hangs")
    worker.send(STOP_SIGNAL)
    assert worker.wait() == 0
    assert scene.job(job_id).units.queued == 8
    assert scene.count("SELECT sum(attempt + crash_count) FROM visualizations") == 0
    assert scene.count("SELECT count(*) FROM leases WHERE kind = 'batch' AND outcome = 'released'") == 1


def test_a_worker_told_to_end_leaves_a_network_that_it_inspects_to_others(
    scene: Scene, tmp_path: Path
) -> None:
    scene.register("small.other")
    hangs = tmp_path / "hangs"
    worker = scene.start_child(
        IMAGO_CRASH_AT="inspecting", IMAGO_CRASH_HOW="hang", IMAGO_CRASH_ONCE=str(hangs)
    )
    until(hangs.exists, "an inspection hangs")
    worker.send(STOP_SIGNAL)
    assert worker.wait() == 0
    untouched = "state = 'pending' AND lease_id IS NULL AND inspection_tries = 0"
    assert scene.count(f"SELECT count(*) FROM networks WHERE {untouched}") == 1


def test_a_worker_that_has_just_been_started_ends_as_well(scene: Scene) -> None:
    worker = scene.start_worker()
    until(lambda: len(worker.family()) > 1, "the parent has started a child")
    assert not any(loaded(process, "libtorch") for process in worker.family())
    assert worker.end() == 0
    assert not worker.family()
    assert "worker_ready" not in worker.log.read_text()


def test_canceling_a_job_stops_its_batch_in_mid_ascent(scene: Scene) -> None:
    job_id = scene.submit("0-7", steps=ENDLESS)
    worker = scene.start_child()
    scene.wait_until_computing()
    with scene.database.session() as session:
        jobs.cancel(session, job_id)
    job = scene.wait_until_ended(job_id)

    assert job.state == "canceled"
    assert scene.check(job_id) == {"canceled": 8}
    assert "batch_computed" not in worker.log.read_text()
    # The same worker goes on with other work.
    following = scene.submit("20-23")
    scene.wait_until_ended(following)
    assert scene.check(following) == {"done": 4}


def test_items_that_another_job_wants_are_computed_though_one_is_canceled(scene: Scene) -> None:
    canceled, wanted = scene.submit("0-7", steps=STEPS), scene.submit("4-11", steps=STEPS)
    with scene.database.session() as session:
        jobs.cancel(session, canceled)
    scene.start_child()
    scene.wait_until_ended(wanted)
    assert scene.check(wanted) == {"done": 8}
    assert scene.job(canceled).state == "canceled"
    assert scene.count("SELECT count(*) FROM visualizations WHERE state = 'canceled'") == 4
