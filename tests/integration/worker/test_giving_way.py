"""Who waits goes first: a bulk batch rests meanwhile, in memory and under its lease, and is none the
worse."""

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_safetensors
from sqlalchemy import text

import worker.batches.claimed_batch
import worker.batches.giving_way
from imago_engine.artifacts import ArtifactKind
from imago_engine.networks import NetworkReference
from imago_engine.synthesis.ascent import Item, Picture, synthesize
from imago_engine.synthesis.computing.group_sizes import group_size_for
from imago_engine.synthesis.generators.files import load_generator
from imago_engine.synthesis.networks.load import load_network
from imago_engine.techniques import technique_named
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.jobs import jobs
from services.queue import batches
from services.queue.batches import BATCHES
from services.queue.reconciliation import reconcile
from tests import small_world
from tests.integration.worker.batch_runner import leases_of, run_everything
from tests.integration.worker.test_batches import pixels, rows
from tests.worker_processes import MAX_BATCH, NETWORK, Scene, until
from worker.batches.deliver import Delivery
from worker.batches.provenance import Provenance
from worker.batches.runner import BatchRunner
from worker.batches.size import BatchSizer
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag

STEPS = 12
ENDLESS = 2000


@pytest.fixture
def scene(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    # Nothing dies here, so a lease may be long enough for the busiest machine.
    scene.settings = scene.settings.model_copy(update={"lease_seconds": 600.0})
    monkeypatch.setattr(worker.batches.giving_way, "LOOK_SECONDS", 0.0)  # asks at each step
    return scene


class World:
    """A runner in this process, and what it computes: `during` is called with the depth (1: not suspended, 2:
    in the midst of another batch) and the step."""

    def __init__(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, store: ObjectStore | None = None
    ) -> None:
        device = choose_device("cpu", threads=1)
        self.stop = StopFlag()
        self.depths: list[int] = []
        self.during: Callable[[int, int], None] = lambda depth, step: None
        self._depth = 0
        self.runner = BatchRunner(
            leases_of(scene, stop=self.stop),
            runtime=Runtime(scene.database, scene.store, scene.settings, device),
            sizer=BatchSizer(batch_seconds=20, max_batch=MAX_BATCH, round_size=MAX_BATCH),
            delivery=Delivery(
                leases_of(scene, stop=self.stop),
                store or scene.store,
                Provenance("test-worker", device),
                self.stop,
            ),
            settings=scene.settings,
            stop=self.stop,
        )
        monkeypatch.setattr(worker.batches.claimed_batch, "synthesize", self._synthesize)

    def _synthesize(
        self, *arguments: Any, on_step: Callable[[int], None], **options: Any
    ) -> Sequence[Picture]:
        self._depth += 1
        depth = self._depth
        self.depths.append(depth)

        def step(number: int) -> None:
            self.during(depth, number)
            on_step(number)

        try:
            return synthesize(*arguments, on_step=step, **options)
        finally:
            self._depth -= 1


@pytest.fixture
def world(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(scene, monkeypatch)


@pytest.fixture(autouse=True)
def _no_thread_is_left(scene: Scene) -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "heartbeat":
            thread.join(60)


def submitting(scene: Scene, at: int, units: str = "20-21", steps: int = STEPS) -> Callable[[int, int], None]:
    """Submits interactive work at one step of the first batch, once."""
    submitted = False

    def during(depth: int, step: int) -> None:
        nonlocal submitted
        if depth == 1 and step >= at and not submitted:
            submitted = True
            scene.submit(units, steps=steps)

    return during


def uncharged(scene: Scene) -> bool:
    return scene.count("SELECT sum(attempt + crash_count) FROM visualizations") == 0


def alone(scene: Scene, units: Sequence[int]) -> list[Picture]:
    """The pictures as the engine makes them when nothing comes between."""
    reference = NetworkReference(
        NETWORK,
        "file",
        f"timm:{small_world.ARCHITECTURE}",
        str(scene.folder / small_world.NETWORK_FILE),
        small_world.CLASSES,
    )
    recipe = {"steps": STEPS, "learning_rate": 0.1, "input_size": small_world.IMAGE_SIZE}
    return synthesize(
        load_network(reference),
        load_generator(scene.folder / small_world.GENERATOR_FILE),
        "output",
        [Item(unit, 0) for unit in units],
        technique_named("dgn-am").parameters(recipe),
    )


def test_interactive_work_goes_first_and_the_bulk_batch_then_comes_to_the_same_bits(
    scene: Scene, world: World
) -> None:
    bulk = scene.submit("0-7", steps=STEPS, lane="bulk")
    world.during = submitting(scene, at=STEPS // 2)
    assert world.runner.run_batch()
    world.runner.settle()
    assert world.depths == [1, 2]
    assert scene.check(bulk) == {"done": 8}
    interactive = "SELECT max(finished_at) FROM visualizations WHERE lane = 'interactive'"
    assert scene.count(f"SELECT count(*) FROM visualizations WHERE finished_at > ({interactive})") == 8
    assert scene.count("SELECT count(*) FROM leases WHERE kind = 'batch' AND outcome = 'finished'") == 2

    stored = rows(scene, bulk)
    for unit, picture in enumerate(alone(scene, range(8))):
        assert stored[unit]["activation"] == picture.activation
        np.testing.assert_array_equal(pixels(scene, stored[unit]["objects"]["image"]), picture.image)
        code = load_safetensors(scene.store.get(stored[unit]["objects"]["code"]))["code"]
        np.testing.assert_array_equal(code, picture.code)
        trace = np.load(io.BytesIO(scene.store.get(stored[unit]["objects"]["trace"])), allow_pickle=False)
        np.testing.assert_array_equal(trace, picture.trace)


def test_bulk_goes_on_between_interactive_batches_that_follow_each_other_without_end(
    scene: Scene, world: World
) -> None:
    bulk = scene.submit("0-7", steps=20, lane="bulk")
    units = iter(range(20, 300))

    def during(depth: int, step: int) -> None:
        if not leases_wait(scene):
            scene.submit(str(next(units)), steps=2)

    world.during = during
    assert world.runner.run_batch()
    world.during = lambda depth, step: None
    run_everything(world.runner)
    assert scene.check(bulk) == {"done": 8}
    assert 2 in world.depths


def leases_wait(scene: Scene) -> bool:
    with scene.database.session() as session:
        return batches.interactive_waits(session)


def test_a_bulk_batch_that_is_canceled_while_it_rests_ends_without_another_picture(
    scene: Scene, world: World
) -> None:
    bulk = scene.submit("0-7", steps=ENDLESS, lane="bulk")
    submit = submitting(scene, at=2)

    def during(depth: int, step: int) -> None:
        submit(depth, step)
        if depth == 2 and step == 1:
            with scene.database.session() as session:
                assert jobs.cancel(session, bulk).state == "canceling"

    world.during = during
    assert world.runner.run_batch()
    world.runner.settle()
    assert scene.check(bulk) == {"canceled": 8}
    assert scene.count("SELECT count(*) FROM visualizations WHERE state = 'done'") == 2


def test_a_bulk_batch_that_lost_its_lease_while_it_rested_changes_nothing(scene: Scene, world: World) -> None:
    bulk = scene.submit("0-7", steps=ENDLESS, lane="bulk")
    submit = submitting(scene, at=2)

    def during(depth: int, step: int) -> None:
        submit(depth, step)
        if depth == 2 and step == 1:
            with scene.database.session() as session:
                session.execute(
                    text("UPDATE leases SET expires_at = now() - interval '1 second' WHERE items = 8")
                )
                assert reconcile(session, BATCHES).requeued == 8

    world.during = during
    assert world.runner.run_batch()
    world.runner.settle()
    assert (scene.job(bulk).units.queued, scene.job(bulk).units.done) == (8, 0)
    assert scene.count("SELECT count(*) FROM visualizations WHERE state = 'done'") == 2


def test_a_stop_in_the_midst_of_the_midst_gives_both_batches_back(scene: Scene, world: World) -> None:
    bulk = scene.submit("0-7", steps=ENDLESS, lane="bulk")
    submit = submitting(scene, at=2, steps=ENDLESS)

    def during(depth: int, step: int) -> None:
        submit(depth, step)
        if depth == 2:
            world.stop.ask(grace_seconds=60)

    world.during = during
    assert world.runner.run_batch()
    world.runner.settle()
    assert scene.job(bulk).units.queued == 8
    assert scene.count("SELECT count(*) FROM visualizations WHERE state = 'queued'") == 10
    assert scene.count("SELECT count(*) FROM leases WHERE kind = 'batch' AND outcome = 'released'") == 2
    assert uncharged(scene)


@pytest.mark.parametrize("depth", [1, 2])
def test_two_batches_that_do_not_fit_into_memory_together_are_computed_one_by_one(
    scene: Scene, world: World, depth: int
) -> None:
    bulk = scene.submit("0-7", steps=STEPS, lane="bulk")
    submit = submitting(scene, at=2)

    def during(now: int, step: int) -> None:
        submit(now, step)
        if 2 in world.depths and now == depth and len(world.depths) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    world.during = during
    assert world.runner.run_batch()
    world.runner.settle()
    assert scene.job(bulk).units.queued == 8
    assert uncharged(scene)
    run_everything(world.runner)
    assert scene.check(bulk) == {"done": 8}
    assert uncharged(scene)
    # In groups of the usual size: what is made in smaller ones differs in its last bits.
    assert {row["provenance"]["group_size"] for row in rows(scene, bulk).values()} == {
        group_size_for(torch.device("cpu"))
    }
    scene.submit("30-31", steps=STEPS)  # beside the same kind of bulk batch, nothing is suspended any more
    before = len(world.depths)
    more = scene.submit("8-15", steps=STEPS, lane="bulk")
    run_everything(world.runner)
    assert scene.check(more) == {"done": 8}
    assert 2 not in world.depths[before:]


class BlockedStore(ObjectStore):
    """Takes nothing of bulk batches until it is opened."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.open = threading.Event()

    def put(self, kind: ArtifactKind, data: bytes, content_type: str) -> str:
        if threading.current_thread().name.startswith("upload-bulk"):
            self.open.wait()
        return super().put(kind, data, content_type)


def test_who_waits_does_not_wait_for_the_delivery_of_bulk_batches(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BlockedStore(scene.settings)
    world = World(scene, monkeypatch, store)
    bulk = scene.submit("0-15", steps=2, lane="bulk")
    assert world.runner.run_batch()  # its delivery stands still
    working = threading.Thread(target=world.runner.run_batch)  # so the next one cannot be handed over
    working.start()
    until(lambda: world.depths == [1, 1] and not leases_wait(scene), "the second batch is computed")
    interactive = scene.submit("20-21", steps=2)
    until(lambda: scene.job(interactive).ended, "the interactive job has ended")
    assert scene.job(bulk).units.done == 0
    store.open.set()
    working.join()
    world.runner.settle()
    assert scene.check(bulk) == {"done": 16}


def test_who_waits_does_not_wait_for_an_inspection(
    scene: Scene, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = scene.submit("0-1", steps=2)

    def download(*arguments: Any) -> Any:
        until(lambda: scene.job(job).ended, "the job has ended before the download")
        return load_network(*arguments)

    monkeypatch.setattr("worker.inspecting.inspector.load_network", download)
    scene.register("small.other")
    assert scene.inspector(on_pause=world.runner.run_interactive).look()
    assert scene.network("small.other").state == "ready"
    assert scene.check(job) == {"done": 2}
