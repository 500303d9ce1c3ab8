"""Batches whose network or generator cannot be loaded, or is no longer what it was."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.base.storage import generator_key
from services.catalog.shipped_generator import register_shipped_generator
from services.queue import batches, workers
from tests import small_world
from tests.integration.worker.batch_runner import delivery, leases_of, patient, run_everything, runner
from tests.worker_processes import MAX_BATCH, Scene
from worker.batches.runner import BatchRunner
from worker.batches.size import BatchSizer
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag


@pytest.fixture
def scene(scene: Scene) -> Scene:
    return patient(scene)


def test_weights_that_changed_since_the_inspection_fail_every_item_and_say_why(scene: Scene) -> None:
    job_id = scene.submit("0-3")
    small_world.write_network(scene.folder, seed=1)
    run_everything(runner(scene))
    assert scene.check(job_id) == {"failed": 4}
    [error] = scene.job(job_id).errors
    assert error.code == "network_changed"
    assert "another id" in error.message


def test_a_job_keeps_its_generator_though_another_file_is_shipped_meanwhile(scene: Scene) -> None:
    before, job_id = scene.default_generator(), scene.submit("0-3")
    shipped = small_world.write_generator(scene.folder, seed=1)
    register_shipped_generator(scene.database, scene.store, shipped)
    assert scene.default_generator() != before
    run_everything(runner(scene))
    assert scene.check(job_id) == {"done": 4}


def test_a_damaged_copy_of_a_generator_is_fetched_anew(scene: Scene) -> None:
    job_id = scene.submit("0-3")
    copy = (
        scene.settings.cache_folder / "generators" / f"{scene.default_generator().weights_sha256}.safetensors"
    )
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"half of a gen")
    run_everything(runner(scene))
    assert scene.check(job_id) == {"done": 4}
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == copy.stem


@pytest.mark.parametrize(
    ("damage", "message"), [(b"other bytes", "has the sha256"), (None, "There is no object")]
)
def test_a_generator_that_is_not_whole_in_the_store_fails_every_item_and_says_why(
    scene: Scene, tmp_path: Path, damage: bytes | None, message: str
) -> None:
    job_id = scene.submit("0-3")
    key = generator_key(scene.default_generator().weights_sha256)
    if damage is None:
        scene.store.delete(key)
    else:
        (tmp_path / "damaged").write_bytes(damage)
        scene.store.put_file(key, tmp_path / "damaged")
    run_everything(runner(scene))
    [error] = scene.job(job_id).errors
    assert (error.code, error.count) == ("generator_unloadable", 4)
    assert message in error.message
    assert not list(scene.settings.cache_folder.glob("generators/*"))


def test_an_item_that_was_asked_for_before_its_network_changed_says_so(scene: Scene) -> None:
    job_id = scene.submit("0")
    with scene.database.session() as session:
        session.execute(text("UPDATE networks SET spec_sha256 = repeat('f', 64)"))
    run_everything(runner(scene))
    (error,) = scene.job(job_id).errors
    assert (error.code, error.count) == ("network_changed", 1)
    assert "Ask for it again" in error.message


def beside(scene: Scene, worker_id: str, **changes: Any) -> BatchRunner:
    """One of several workers that live, with settings of its own."""
    device, settings = choose_device("cpu", threads=1), scene.settings.model_copy(update=changes)
    with scene.database.session() as session:
        workers.register(session, worker_id, host="here", device="cpu", heartbeat_seconds=600)
    return BatchRunner(
        leases_of(scene, worker_id),
        runtime=Runtime(scene.database, scene.store, settings, device),
        sizer=BatchSizer(batch_seconds=20, max_batch=MAX_BATCH, round_size=MAX_BATCH),
        delivery=delivery(scene),
        settings=settings,
        stop=StopFlag(),
    )


def without_weights(scene: Scene) -> dict[str, Any]:
    return {"weights_folder": scene.folder / "empty"}


def without_cache(scene: Scene) -> dict[str, Any]:
    (scene.folder / "file").touch()
    return {"cache_folder": scene.folder / "file"}  # ENOTDIR, as good as ENOSPC or EACCES


@pytest.mark.parametrize("without", [without_weights, without_cache])
def test_what_one_worker_cannot_load_is_left_to_another_at_no_charge(
    scene: Scene, without: Callable[[Scene], dict[str, Any]]
) -> None:
    job_id = scene.submit("0-9")
    lacks, has = beside(scene, "lacks", **without(scene)), beside(scene, "has")
    assert lacks.run_batch()
    assert not lacks.run_batch()  # nothing else waits, and this not for this worker
    assert scene.job(job_id).units.queued == 10
    assert scene.count("SELECT sum(attempt + crash_count) FROM visualizations") == 0
    run_everything(has)
    assert scene.check(job_id) == {"done": 10}


def test_what_no_worker_can_load_ends_with_an_explanation(scene: Scene) -> None:
    job_id = scene.submit("0-9")
    first, second = (beside(scene, id, **without_weights(scene)) for id in ("first", "second"))
    assert first.run_batch()
    run_everything(second)
    assert scene.check(job_id) == {"failed": 10}
    [error] = scene.job(job_id).errors
    assert error.code == "network_unloadable"
    assert "There is no file" in error.message


def test_what_may_pass_is_tried_again_where_there_is_no_other_worker(scene: Scene) -> None:
    job_id = scene.submit("0-1")
    alone = beside(scene, "alone", **without_cache(scene))
    run_everything(alone)
    assert scene.job(job_id).units.queued == 2
    for _ in range(batches.MAX_ATTEMPTS):
        scene.hurry()
        run_everything(alone)
    [error] = scene.job(job_id).errors
    assert (error.code, error.count) == ("generator_unloadable", 2)
