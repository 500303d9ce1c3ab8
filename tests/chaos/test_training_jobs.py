"""Generators trained as jobs, with real workers, whatever happens to these meanwhile."""

import hashlib
import shutil
import signal

import pytest

from imago_engine.generators import read_description
from imago_engine.synthesis.generators.files import load_generator
from services.base.settings import Settings
from services.base.storage import generator_key, sha256_of_file
from services.catalog.generators import Generator, get_generator, list_generators, register_generator
from services.queue import chores, workers
from services.trainings import trainings
from services.trainings.setbacks import MAX_CRASHES
from tests.small_training import BATCH, ENCODER, TrainingScene
from tests.worker_processes import Scene, until

pytestmark = pytest.mark.chaos


@pytest.fixture
def training(scene: Scene) -> TrainingScene:
    return TrainingScene.build(scene)


def check_generator(training: TrainingScene, id: str, *, others: int = 1) -> Generator:
    """What must hold of every training that succeeded; `others` is how many generators there were before."""
    scene, view = training.scene, training.get(id)
    assert view.state == "succeeded"
    with scene.database.session() as session:
        generator = get_generator(session, view.generator_id)
        assert len(list_generators(session).data) == others + 1  # this one once
    path = scene.folder / "fetched.safetensors"
    scene.store.fetch(generator_key(generator.weights_sha256), path)
    assert load_generator(path).info.encoder == "efficientnet_lite0.imagenet"
    assert view.samples
    for sample in view.samples:
        assert set(sample.held_out) >= {"pixels", "layout"}
        if sample.image_object:
            assert hashlib.sha256(scene.store.get(sample.image_object)).hexdigest() in sample.image_object
    assert view.samples[0].image_object
    assert view.log_object
    assert b'"held_out"' in scene.store.get(view.log_object)
    assert view.card_object
    assert b"efficientnet_lite0" in scene.store.get(view.card_object)
    return generator


def test_a_training_becomes_one_generator_also_if_its_worker_dies_before_it_can_register_it(
    training: TrainingScene,
) -> None:
    scene = training.scene
    id = training.submit(pictures=4 * BATCH)
    crashing = scene.start_child(IMAGO_CRASH_AT="training_stored")
    assert crashing.wait() == -signal.SIGKILL
    assert training.get(id).state == "running"
    scene.start_child()
    view = training.wait_until(id, "succeeded")
    generator = check_generator(training, id)
    with scene.database.session() as session:
        assert workers.queue(session).trainings.workers in (1, 2)  # the dead one counts for a moment
    assert generator.id == "discs-32"
    assert not generator.is_default
    assert generator.info["training"]["pictures_seen"] == view.pictures == 4 * BATCH
    assert str(scene.folder) not in str(generator.info)
    # Nothing is left of it but what the row points to.
    until(lambda: bool(training.column(id, "cleared")), "the store is cleared")
    assert set(scene.store.keys(f"trainings/{id}/")) == {view.log_object, view.card_object}
    assert not list((scene.folder / "cache" / "trainings").iterdir())


@pytest.mark.thorough
def test_a_training_with_a_second_network_of_the_catalog_becomes_a_generator(training: TrainingScene) -> None:
    id = training.submit(pictures=2 * BATCH, options={"width": 0.125, "second_network": ENCODER})
    training.scene.start_child()
    training.wait_until(id, "succeeded")
    generator = check_generator(training, id)
    assert f"--second-network {ENCODER}" in generator.info["training"]["command"]
    card = training.scene.store.get(training.get(id).card_object or "")
    assert f"second_network {ENCODER}".encode() in card
    assert str(training.scene.folder) not in str(generator.info)


def test_a_generator_that_the_store_has_lost_cannot_be_started_from(training: TrainingScene) -> None:
    scene = training.scene
    info = {"architecture": "compact", "code_shape": [1280], "image_size": 64, "encoder": ENCODER}
    with scene.database.session() as session:
        register_generator(session, "lost", info, "f" * 64)
    id = training.submit(warm_start="lost")
    scene.start_child()
    view = training.wait_until(id, "failed")
    assert view.error is not None
    assert "cannot start from the generator 'lost'" in view.error["message"]


@pytest.mark.thorough
def test_a_training_whose_worker_is_killed_goes_on_elsewhere_as_it_was_asked_for(
    training: TrainingScene,
) -> None:
    scene = training.scene
    older = Settings.model_fields["generator_path"].default
    sha256 = sha256_of_file(older)
    scene.store.put_file(generator_key(sha256), older)
    with scene.database.session() as session:
        register_generator(session, "older", read_description(older), sha256)
    options = {"texture_weight": 2.0, "average_decay": 0.9, "width": 0.125}
    id = training.submit(warm_start="older", options=options, precision="bfloat16", seed=5)
    first = scene.start_worker()
    saved = training.wait_until_saved(id)
    process = training.process()
    first.kill()
    until(lambda: not process.is_running(), "the process has ended with its worker")
    # As on another machine: it goes on from its own checkpoint, not once more from the older generator.
    shutil.rmtree(scene.folder / "cache")

    training.plan(id, saved + 8 * BATCH)
    scene.start_child()
    view = training.wait_until(id, "succeeded")
    assert view.pictures >= saved + 8 * BATCH
    assert "checkpoint_lost" not in scene.workers[-1].tail()
    assert scene.count("SELECT count(*) FROM leases WHERE kind = 'training'") == 2
    made_by = check_generator(training, id, others=2).info["training"]
    assert made_by["warm_start"] == sha256
    assert "bfloat16" in made_by["computed_on"]
    for part in (
        "--warm-start older.safetensors",
        "--texture-weight 2.0",
        "--precision bfloat16",
        "--seed 5",
    ):
        assert part in made_by["command"]
    assert view.card_object
    assert b"texture_weight 2.0, average_decay 0.9" in scene.store.get(view.card_object)


@pytest.mark.thorough
def test_pictures_are_made_before_a_training_ends_which_then_goes_on(training: TrainingScene) -> None:
    scene = training.scene
    id = training.submit()
    scene.start_child()
    saved = training.wait_until_saved(id)
    job = scene.submit("0-3")
    scene.wait_until_ended(job)
    assert scene.check(job) == {"done": 4}
    assert not training.get(id).ended
    training.wait_until(id, "running")
    assert scene.count("SELECT count(*) FROM leases WHERE kind = 'training'") == 2
    assert training.wait_until_saved(id, after=saved) > saved
    assert training.column(id, "crashes + deaths") == 0


def test_what_needs_no_device_is_done_beside_a_training(training: TrainingScene) -> None:
    scene = training.scene
    id = training.submit()
    scene.start_child()
    until(lambda: training.get(id).pictures > 0, "the training has begun")
    with scene.database.session() as session:
        chores.plan(session, "expand", "atl_gone")
        chores.plan(session, "sheet", "atl_gone/1/0")
        chores.plan(session, "export", "atl_gone/1")
    until(lambda: scene.count("SELECT count(*) FROM work WHERE subject LIKE 'atl_%'") == 0, "all is done")
    assert training.get(id).state == "running"
    assert scene.count("SELECT count(*) FROM leases WHERE kind = 'training'") == 1


@pytest.mark.thorough
def test_a_worker_told_to_end_saves_its_training(training: TrainingScene) -> None:
    scene = training.scene
    id = training.submit(checkpoint_seconds=3600)
    worker = scene.start_worker(IMAGO_STOP_SECONDS="50")  # enough for a busy machine
    until(lambda: training.get(id).pictures > 0, "the training has begun")
    assert worker.end() == 0
    assert training.get(id).state == "queued"
    assert training.column(id, "checkpoint_object") is not None
    assert training.column(id, "crashes + deaths") == 0


def test_canceling_ends_the_process_and_leaves_nothing_behind(training: TrainingScene) -> None:
    scene = training.scene
    id = training.submit()
    scene.start_child()
    training.wait_until_saved(id)
    process = training.process()
    with scene.database.session() as session:
        assert trainings.cancel(session, id).state == "canceling"
    training.wait_until(id, "canceled")
    until(lambda: not process.is_running(), "the process has ended")
    until(lambda: bool(training.column(id, "cleared")), "the store is cleared")
    assert set(scene.store.keys(f"trainings/{id}/")) == {training.get(id).log_object}
    with scene.database.session() as session:
        assert len(list_generators(session).data) == 1


@pytest.mark.thorough
def test_what_cannot_be_trained_fails_with_the_reason(training: TrainingScene) -> None:
    id = training.submit(minimum=1000)
    training.scene.start_child()
    view = training.wait_until(id, "failed")
    assert view.error is not None
    assert view.error["code"] == "training_failed"
    assert "32 pictures to train on are too few: at least 1000 are needed" in view.error["message"]
    assert str(training.scene.folder) not in view.error["message"]


def test_a_training_waits_for_pictures_that_are_mounted_late_and_begins_when_they_are_there(
    training: TrainingScene,
) -> None:
    scene = training.scene
    there = scene.folder / "data" / "discs"
    away = there.rename(scene.folder / "not-mounted")
    id = training.submit()
    scene.start_child()
    until(lambda: training.get(id).error is not None, "the worker says what it lacks")
    view = training.get(id)
    assert view.state == "queued"
    assert view.error is not None
    assert "'discs' does not exist below the data root" in view.error["message"]
    assert str(scene.folder) not in view.error["message"]
    away.rename(there)
    training.hasten(id)
    training.wait_until(id, "running")
    until(lambda: training.get(id).error is None, "it says nothing any more")


def test_a_training_whose_process_crashes_three_times_fails_with_its_last_words(
    training: TrainingScene,
) -> None:
    scene = training.scene
    id = training.submit()
    scene.start_child()
    for crash in range(1, MAX_CRASHES + 1):
        training.process().send_signal(signal.SIGSEGV)
        training.wait_until_column(id, "crashes", crash)
        training.hasten(id)
    view = training.wait_until(id, "failed")
    assert view.error == {
        "code": "crashed",
        "message": "The training's process was ended by SIGSEGV.",
    }
