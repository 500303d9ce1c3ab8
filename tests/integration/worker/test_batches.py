"""Batches on real servers, run in this process: what is stored is what the engine made."""

import hashlib
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load as load_safetensors
from safetensors.torch import save_file
from sqlalchemy import text
from sqlalchemy.orm import Session

import worker.leasing.held_leases
from imago_engine.artifacts import ArtifactKind
from imago_engine.networks import NetworkReference
from imago_engine.synthesis.ascent import Item, Picture, synthesize
from imago_engine.synthesis.generators.files import load_generator
from imago_engine.synthesis.networks.load import load_network
from imago_engine.techniques import technique_named
from services.base.database import Database
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.jobs import jobs
from services.jobs.job_request import JobRequest
from services.jobs.submission import submit
from services.pictures import visualizations
from services.queue import batches
from services.queue.batches import BATCHES
from services.queue.leases import Pulse
from services.queue.reconciliation import reconcile
from tests import small_world
from tests.integration.worker.batch_runner import delivery, leases_of, patient, run_everything, runner
from tests.worker_processes import MAX_BATCH, Scene, until
from worker.batches.computation import Computed, Made
from worker.batches.deliver import Delivery
from worker.batches.provenance import Provenance
from worker.batches.size import BatchSizer
from worker.leasing.lease_renewal import FENCE_SHARE, LeaseKeeper
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag


@pytest.fixture
def scene(scene: Scene) -> Scene:
    return patient(scene)


def rows(scene: Scene, job_id: str) -> dict[int, dict[str, Any]]:
    query = """
        SELECT v.*, (
            SELECT jsonb_object_agg(kind, object) FROM artifacts a WHERE a.digest = v.digest
        ) AS objects
        FROM visualizations v JOIN job_visualizations jv ON jv.digest = v.digest
        WHERE jv.job_id = :id
    """
    with scene.database.session() as session:
        return {row["unit"]: dict(row) for row in session.execute(text(query), {"id": job_id}).mappings()}


def pixels(scene: Scene, key: str) -> NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(scene.store.get(key))), dtype=np.int16)


def test_what_is_stored_is_what_the_engine_made(scene: Scene) -> None:
    job_id = scene.submit("0-4")
    run_everything(runner(scene))
    assert scene.check(job_id) == {"done": 5}
    assert scene.job(job_id).state == "succeeded"

    weights = scene.folder / small_world.NETWORK_FILE
    reference = NetworkReference(
        "small.random", "file", f"timm:{small_world.ARCHITECTURE}", str(weights), small_world.CLASSES
    )
    recipe = {"steps": 10, "learning_rate": 0.1, "input_size": small_world.IMAGE_SIZE}
    [alone] = synthesize(
        load_network(reference),
        load_generator(scene.folder / small_world.GENERATOR_FILE),
        "output",
        [Item(unit=3, seed=0)],
        technique_named("dgn-am").parameters(recipe),
    )
    row = rows(scene, job_id)[3]
    assert (row["activation"], row["score"]) == (alone.activation, alone.score)
    assert alone.score is not None
    np.testing.assert_array_equal(pixels(scene, row["objects"]["image"]), alone.image)
    code = load_safetensors(scene.store.get(row["objects"]["code"]))["code"]
    np.testing.assert_array_equal(code, alone.code)
    trace = np.load(io.BytesIO(scene.store.get(row["objects"]["trace"])), allow_pickle=False)
    np.testing.assert_array_equal(trace, alone.trace)
    assert row["predictions"] is not None


def test_a_row_tells_where_its_picture_was_made(scene: Scene) -> None:
    job_id = scene.submit("0-2")
    run_everything(runner(scene))
    row = rows(scene, job_id)[0]
    provenance = row["provenance"]
    assert provenance["worker"] == "test-worker"
    assert provenance["batch_size"] == 3
    assert provenance["batch_seconds"] > 0
    assert {"engine", "torch", "device", "dtype", "lease", "skipped_steps", "revision"} <= set(provenance)
    with scene.database.session() as session:
        artifact = visualizations.get(session, row["digest"]).artifacts["image"]
    assert (artifact.width, artifact.height) == (small_world.IMAGE_SIZE, small_world.IMAGE_SIZE)
    assert artifact.bytes == len(scene.store.get(artifact.object))


def test_a_batch_teaches_what_its_kind_costs_and_a_lost_one_does_not(scene: Scene) -> None:
    scene.submit("0-9")
    run_everything(runner(scene))
    query = text("SELECT device, depth, steps, round_items, seconds, batches FROM learned_costs")
    with scene.database.session() as session:
        [learned] = session.execute(query).all()
    assert learned.device == choose_device("cpu", threads=1).description
    assert learned.steps == 10
    assert learned.depth == max(layer.ordinal for layer in scene.layers())
    assert learned.seconds > 0

    scene.submit("20-22")
    with scene.database.session() as session:
        claim = batches.claim(session, "test-worker", limit=3, lease_seconds=600)
    assert claim is not None
    with scene.database.session() as session:
        batches.release(session, claim.lease_id)
    made = [Made(work, blank(), 3, 4, 1000.0) for work in claim.items]
    delivery(scene).deliver(claim, Computed(made=made), held(scene, claim))
    with scene.database.session() as session:
        assert session.execute(query).all() == [learned]


def test_a_hidden_units_crop_is_what_it_sees(scene: Scene) -> None:
    job_id = scene.submit("1", layer="blocks.1")
    run_everything(runner(scene))
    row = rows(scene, job_id)[1]
    left, top, right, bottom = row["crop_box"]
    whole = pixels(scene, row["objects"]["image"])
    np.testing.assert_array_equal(pixels(scene, row["objects"]["crop"]), whole[top:bottom, left:right])


def test_a_unit_that_nothing_reaches_has_no_picture_and_says_so(scene: Scene) -> None:
    job_id = scene.submit(f"0,{small_world.UNREACHABLE_UNIT}")
    run_everything(runner(scene))
    assert scene.check(job_id) == {"done": 1, "unreachable": 1}
    assert scene.job(job_id).state == "succeeded"
    row = rows(scene, job_id)[small_world.UNREACHABLE_UNIT]
    assert row["objects"] is None
    assert row["provenance"] is not None


def test_a_lease_is_counted_from_before_the_claim_was_sent(scene: Scene) -> None:
    """Its answer may take long; the lease runs meanwhile."""
    scene.settings = scene.settings.model_copy(update={"lease_seconds": 3.0, "heartbeat_seconds": 600.0})
    job_id = scene.submit("0-4")
    slow = runner(scene)
    with scene.database.session() as other, ThreadPoolExecutor(1) as pool:
        hold = text("SELECT pg_backend_pid() FROM jobs WHERE id = :id FOR NO KEY UPDATE")
        other.execute(hold, {"id": job_id})  # the claim wants it last, when its lease is made
        batch = pool.submit(slow.run_batch)
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname ="
        until(lambda: scene.count(f"{blocked} current_database()") > 0, "the claim waits")
        time.sleep(3.0 * FENCE_SHARE)
        other.commit()
        assert batch.result()
    slow.settle()
    assert scene.count("SELECT count(*) FROM leases WHERE outcome = 'released' AND settled = 0") == 1
    assert scene.job(job_id).units.queued == 5


def test_what_a_keeper_counts_from_is_before_its_claim(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, however busy the machine is."""
    asked: list[float] = []
    counted_from: list[float] = []

    def claim(*arguments: Any, **options: Any) -> batches.Claim | None:
        asked.append(time.monotonic())
        return claimed(*arguments, **options)

    class Noted(LeaseKeeper):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            counted_from.append(options["confirmed_at"])
            super().__init__(*arguments, **options)

    claimed = batches.claim
    monkeypatch.setattr(batches, "claim", claim)
    monkeypatch.setattr(worker.leasing.held_leases, "LeaseKeeper", Noted)
    scene.submit("0")
    made = runner(scene)
    assert made.run_batch()
    made.settle()
    assert counted_from[0] <= asked[0]


def test_a_batch_of_an_unknown_kind_is_one_round_and_nothing_more_is_claimed(scene: Scene) -> None:
    sizer = BatchSizer(batch_seconds=20, max_batch=MAX_BATCH, round_size=4)
    sizer.learn("another kind", items=4, steps=10, seconds=0.01)
    assert sizer.size("another kind", steps=10) == MAX_BATCH
    job_id = scene.submit("0-9")
    running = runner(scene, sizer)
    assert running.run_batch()
    running.settle()
    units = scene.job(job_id).units
    assert (units.done, units.queued, units.leased) == (4, 6, 0)
    assert scene.count("SELECT sum(items) FROM leases WHERE kind = 'batch'") == 4
    assert running.run_batch()  # by now it is known how quickly such items go
    running.settle()
    assert scene.count("SELECT max(items) FROM leases WHERE kind = 'batch'") == 6
    assert scene.check(job_id) == {"done": 10}


def test_a_batch_ends_at_once_when_its_job_is_canceled_though_it_is_not_the_whole_job(scene: Scene) -> None:
    endless = 2000
    sizer = BatchSizer(batch_seconds=20, max_batch=MAX_BATCH, round_size=4)
    job_id = scene.submit("0-7", steps=endless)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(runner(scene, sizer).run_batch)
        scene.wait_until_computing()
        with scene.database.session() as session:
            assert jobs.cancel(session, job_id).state == "canceling"
        assert running.result()
    assert scene.job(job_id).state == "canceled"
    assert scene.check(job_id) == {"canceled": 8}
    assert scene.count("SELECT max(steps) FROM leases WHERE kind = 'batch'") < endless


def test_a_result_that_is_no_number_fails_instead_of_being_stored(scene: Scene) -> None:
    job_id = scene.submit("0-1")
    with scene.database.session() as session:
        claim = batches.claim(session, "test-worker", limit=2, lease_seconds=60)
    assert claim is not None
    made = [
        Made(work, blank(activation), 2, 4, 1.0)
        for work, activation in zip(claim.items, [float("inf"), 1.0], strict=True)
    ]
    delivery(scene).deliver(claim, Computed(made=made), held(scene, claim))
    assert scene.check(job_id) == {"done": 1, "failed": 1}
    assert [error.code for error in scene.job(job_id).errors] == ["not_finite"]


def test_a_late_delivery_changes_nothing(scene: Scene) -> None:
    scene.submit("0")
    with scene.database.session() as session:
        late = batches.claim(session, "late-worker", limit=1, lease_seconds=60)
        assert late is not None
        session.execute(text("UPDATE leases SET expires_at = now() - interval '1 second'"))
    with scene.database.session() as session:
        reconcile(session, BATCHES)
    scene.hurry()
    run_everything(runner(scene))
    before = scene.count("SELECT hashtext(v::text) FROM visualizations v")

    delivery(scene).deliver(
        late, Computed(made=[Made(late.items[0], blank(99.0), 1, 4, 1.0)]), held(scene, late)
    )
    assert scene.count("SELECT hashtext(v::text) FROM visualizations v") == before


class Flaky:
    """Fails the first so many times, then lets everything through."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def fail(self, what: str) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable(what, "as the test wants it")


class FlakyStore(ObjectStore):
    def __init__(self, settings: Settings, failures: int) -> None:
        super().__init__(settings)
        self.flaky = Flaky(failures)

    def put(self, kind: ArtifactKind, data: bytes, content_type: str) -> str:
        self.flaky.fail("object store")
        return super().put(kind, data, content_type)


class FlakyDatabase(Database):
    """Loses transactions as they are committed."""

    def __init__(self, url: str, failures: int) -> None:
        super().__init__(url)
        self.flaky = Flaky(failures)

    @contextmanager
    def session(self) -> Iterator[Session]:
        with super().session() as session:
            yield session
            self.flaky.fail("database")


@pytest.mark.parametrize("server", ["store", "database"])
def test_a_delivery_is_tried_again_while_a_server_is_away(scene: Scene, server: str) -> None:
    job_id = scene.submit("0-1")
    store = FlakyStore(scene.settings, 3 if server == "store" else 0)
    database = FlakyDatabase(scene.settings.database_url, 3 if server == "database" else 0)
    with scene.database.session() as session:
        claim = batches.claim(session, "test-worker", limit=2, lease_seconds=600)
    assert claim is not None
    made = [Made(work, blank(), 2, 4, 1.0) for work in claim.items]
    provenance = Provenance("test-worker", choose_device("cpu", threads=1))
    delivery = Delivery(leases_of(scene, database=database), store, provenance, StopFlag())
    delivery.deliver(claim, Computed(made=made), held(scene, claim))
    database.dispose()
    assert scene.check(job_id) == {"done": 2}


def test_a_delivery_that_is_not_possible_gives_the_items_back_free_of_charge(scene: Scene) -> None:
    job_id = scene.submit("0-1")
    with scene.database.session() as session:
        claim = batches.claim(session, "test-worker", limit=2, lease_seconds=600)
    assert claim is not None
    stop = StopFlag()
    stop.ask(grace_seconds=0)
    made = [Made(work, blank(), 2, 4, 1.0) for work in claim.items]
    Delivery(
        leases_of(scene, stop=stop),
        FlakyStore(scene.settings, 1000),
        Provenance("test-worker", choose_device("cpu", threads=1)),
        stop,
    ).deliver(claim, Computed(made=made), held(scene, claim, stop))
    assert scene.job(job_id).units.queued == 2
    assert scene.count("SELECT sum(attempt + crash_count) FROM visualizations") == 0


def test_a_release_that_the_database_did_not_hear_is_made_up_for(scene: Scene) -> None:
    job_id = scene.submit("0-1")
    with scene.database.session() as session:
        claim = batches.claim(session, "test-worker", limit=2, lease_seconds=600)
    assert claim is not None
    database = FlakyDatabase(scene.settings.database_url, 2)
    leases = leases_of(scene, database=database)
    leases.give_back(BATCHES, claim.lease_id)
    with pytest.raises(Unavailable):
        leases.give_back_owed()
    assert scene.job(job_id).units.leased == 2
    leases.give_back_owed()
    database.dispose()
    assert scene.job(job_id).units.queued == 2
    assert scene.count("SELECT sum(attempt + crash_count) FROM visualizations") == 0


def test_objects_are_named_by_their_bytes(scene: Scene) -> None:
    job_id = scene.submit("0")
    run_everything(runner(scene))
    key = rows(scene, job_id)[0]["objects"]["image"]
    assert hashlib.sha256(scene.store.get(key)).hexdigest() in key


def blank(activation: float = 1.0) -> Picture:
    return Picture(
        image=np.full((32, 32, 3), 7, np.uint8),
        code=np.zeros(16, np.float32),
        activation=activation,
        trace=np.zeros(10, np.float32),
        status="done",
        predictions=None,
        crop_box=None,
        skipped_steps=0,
    )


def held(scene: Scene, claim: batches.Claim, stop: StopFlag | None = None) -> LeaseKeeper:
    """A keeper that believes to hold the lease; its heartbeat is not started."""
    return LeaseKeeper(
        lambda steps: Pulse(True, frozenset()),
        lease_seconds=60,
        heartbeat_seconds=10,
        confirmed_at=time.monotonic(),
        stop=stop or StopFlag(),
    )


def test_a_network_of_one_input_size_makes_pictures_at_it(scene: Scene) -> None:
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit3", num_classes=7).state_dict(), scene.folder / "vit.safetensors")
    wanted = RegisterNetwork(id="own.vit", architecture="timm:test_vit3", weights="vit.safetensors")
    with scene.database.session() as session:
        register_network(session, wanted)
    assert scene.inspector().look()
    assert not scene.network("own.vit").runs_at(small_world.IMAGE_SIZE)  # what the generator recommends
    request = {"network": "own.vit", "targets": [{"layer": "output", "units": "0"}]}
    with scene.database.session() as session:
        job_id = submit(session, JobRequest.model_validate(request)).job.id
    run_everything(runner(scene))
    assert scene.job(job_id).units.done == 1
