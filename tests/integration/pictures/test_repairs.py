"""What the store has lost is made again, by whoever is idle, and counts in no job."""

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import worker.upkeep.repairs
from imago_engine.artifacts import ArtifactKind
from imago_engine.synthesis.ascent import Picture, synthesize
from imago_engine.synthesis.networks.load import Network
from services.base import storage
from services.base.storage import ObjectStore, generator_key
from services.pictures import losses
from services.pictures.losses import Subject
from services.queue import batches
from services.queue import chores as work
from services.queue.reconciliation import reconcile
from services.upkeep import tallies
from tests.integration.staging import real_picture
from tests.store_faults import damage, lose
from tests.worker_processes import Scene, until
from worker.batches.provenance import Provenance
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag
from worker.upkeep.repair_turn import RepairTurn
from worker.upkeep.repairs import Repairer


def repairer(scene: Scene, *, make_way: bool = True, **changes: Any) -> Repairer:
    settings = scene.settings.model_copy(update=changes)
    store, device = ObjectStore(settings), choose_device("cpu")
    return Repairer(
        HeldLeases(scene.database, settings, "tester", StopFlag()),
        store=store,
        runtime=Runtime(scene.database, store, settings, device),
        provenance=Provenance("tester", device),
        settings=settings,
        make_way=make_way,
    )


def finished_elsewhere(scene: Scene, units: str = "0-2") -> tuple[str, list[str]]:
    """A job whose pictures another device has made: their bytes are not those that this one would make."""
    job = scene.submit(units)
    with scene.database.session() as session:
        claim = batches.claim(session, "elsewhere", limit=64, lease_seconds=60)
        assert claim is not None
        results = [real_picture(scene.store, work.digest) for work in claim.items]
        batches.conclude(session, claim.lease_id, finished=results)
    return job, [result.digest for result in results]


def row(scene: Scene, digest: str) -> dict[str, Any]:
    with scene.database.session() as session:
        query = text("SELECT * FROM visualizations WHERE digest = :digest")
        objects = text("SELECT kind, object FROM artifacts WHERE digest = :digest")
        found = dict(session.execute(query, {"digest": digest}).mappings().one())
        kept = {each.kind: each.object for each in session.execute(objects, {"digest": digest})}
        return {**found, "objects": kept}


def lose_image(scene: Scene, digest: str) -> str:
    key: str = row(scene, digest)["objects"]["image"]
    lose(scene.store, key)
    note(scene, Subject("visualization", digest), key)
    return key


def note(scene: Scene, subject: Subject, key: str) -> None:
    with scene.database.session() as session:
        assert losses.note(session, subject, key, "missing", "read") is not None


def noted(scene: Scene) -> list[Any]:
    with scene.database.session() as session:
        return list(session.execute(text("SELECT * FROM work WHERE kind = 'repair'")).all())


def hurry(scene: Scene) -> None:
    with scene.database.session() as session:
        session.execute(text("UPDATE work SET not_before = now()"))


def counted(scene: Scene) -> dict[str, int]:
    with scene.database.session() as session:
        return tallies.read(session)


def test_a_worker_makes_again_what_was_lost_and_no_job_hears_of_it(scene: Scene) -> None:
    job, digests = finished_elsewhere(scene)
    before = {digest: row(scene, digest) for digest in digests}
    units = dataclasses.asdict(scene.job(job))
    for digest in digests[:2]:
        lose_image(scene, digest)
    scene.start_child()
    until(lambda: not noted(scene), "both are repaired")
    for digest in digests[:2]:
        after = row(scene, digest)
        assert after["objects"]["image"] != before[digest]["objects"]["image"]
        assert after["provenance"]["repaired"]
        unchanged = ("state", "lane", "attempt", "finished_at", "queue_order", "created_at", "lease_id")
        assert {name: after[name] for name in unchanged} == {name: before[digest][name] for name in unchanged}
    assert row(scene, digests[2]) == before[digests[2]]
    assert dataclasses.asdict(scene.job(job)) == units
    assert scene.check(job) == {"done": 3}
    assert counted(scene)["repaired"] == 2


@pytest.mark.thorough
def test_a_worker_that_is_killed_while_it_repairs_leaves_the_repair_to_the_next(scene: Scene) -> None:
    job, digests = finished_elsewhere(scene, "0")
    lose_image(scene, digests[0])
    for place in ("mid_repair", "repair_stored"):
        doomed = scene.start_child(IMAGO_CRASH_AT=place)
        assert doomed.wait() == -9
        assert len(noted(scene)) == 1
        # Its lease must be over before the next one can take it.
        with scene.database.session() as session:
            session.execute(text("UPDATE leases SET expires_at = now() WHERE ended_at IS NULL"))
        with scene.database.session() as session:
            assert reconcile(session, work.CHORES["repair"]).requeued == 1
        hurry(scene)
    scene.start_child()
    until(lambda: not noted(scene), "it is repaired")
    assert scene.check(job) == {"done": 1}


def test_what_is_not_lost_is_left_alone(scene: Scene) -> None:
    _, (digest,) = finished_elsewhere(scene, "0")
    before = row(scene, digest)
    note(scene, Subject("visualization", digest), before["objects"]["image"])
    assert repairer(scene).look()
    assert noted(scene) == []
    assert row(scene, digest) == before
    assert counted(scene)["repairs_unneeded"] == 1
    assert not repairer(scene).look()


def test_a_store_that_does_not_answer_postpones_a_repair_and_charges_nothing(scene: Scene) -> None:
    _, (digest,) = finished_elsewhere(scene, "0")
    lose_image(scene, digest)
    assert repairer(scene, s3_endpoint_url="http://127.0.0.1:1").look()
    (waiting,) = noted(scene)
    assert (waiting.attempt, waiting.crash_count, waiting.given_up, waiting.lease_id) == (0, 0, False, None)
    hurry(scene)
    assert repairer(scene).look()
    assert noted(scene) == []


def test_a_machine_without_room_postpones_a_repair_and_charges_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = scene.default_generator()
    key, subject = generator_key(generator.weights_sha256), Subject("generator", generator.id)
    damage(scene.settings, key)
    _, (digest,) = finished_elsewhere(scene, "0")
    note(scene, subject, key)
    lose_image(scene, digest)
    with monkeypatch.context() as full:
        full.setattr(storage, "_HELD_IN_MEMORY", 1)  # what is larger lies in a temporary file
        full.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "wb", 0))  # noqa: SIM115
        assert repairer(scene).look()
    assert len(noted(scene)) == 2
    for waiting in noted(scene):
        assert (waiting.attempt, waiting.crash_count, waiting.given_up) == (0, 0, False)
        assert (waiting.lease_id, waiting.error) == (None, None)
    hurry(scene)
    assert repairer(scene).look()
    assert noted(scene) == []


def test_what_fails_by_its_own_fault_is_charged_alone(scene: Scene) -> None:
    _, (digest,) = finished_elsewhere(scene, "0")
    with scene.database.session() as session:
        work.plan(session, "repair", "of no kind")
    lose_image(scene, digest)
    assert repairer(scene).look()
    (left,) = noted(scene)
    assert (left.subject, left.attempt) == ("of no kind", 1)


def test_someone_who_waits_goes_before_a_repair(scene: Scene) -> None:
    job = scene.submit("0", steps=2000)  # takes longer than it takes to look who waits
    with scene.database.session() as session:
        claim = batches.claim(session, "elsewhere", limit=1, lease_seconds=60)
        assert claim is not None
        batches.conclude(session, claim.lease_id, finished=[real_picture(scene.store, claim.items[0].digest)])
    lose_image(scene, claim.items[0].digest)
    scene.submit("5")
    assert repairer(scene).look()
    (waiting,) = noted(scene)
    assert (waiting.attempt, waiting.crash_count, waiting.lease_id) == (0, 0, None)
    assert scene.job(job).units.done == 1


def test_in_a_turn_of_its_own_a_repair_is_seen_through_though_someone_always_waits(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.upkeep.repairs, "LOOK_SECONDS", -1.0)  # asks at each step
    _, (digest,) = finished_elsewhere(scene, "0")
    lose_image(scene, digest)
    scene.submit("5")
    turn = RepairTurn(repairer(scene, make_way=False))
    assert repairer(scene).look()  # makes way, and puts its turn off by nothing
    assert len(noted(scene)) == 1
    assert turn.look()
    assert noted(scene) == []
    lose_image(scene, digest)
    assert not turn.look()  # not so soon again


def test_a_repair_makes_way_between_two_steps_too(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.upkeep.repairs, "LOOK_SECONDS", -1.0)
    _, (digest,) = finished_elsewhere(scene, "0")
    lose_image(scene, digest)
    scene.submit("5")
    stepped: list[int] = []

    def long_step(*arguments: Any, on_pause: Callable[[], None], **options: Any) -> list[Picture]:
        on_pause()
        stepped.append(1)
        return synthesize(*arguments, on_pause=on_pause, **options)

    monkeypatch.setattr(worker.upkeep.repairs, "synthesize", long_step)
    assert repairer(scene).look()
    assert stepped == []
    (waiting,) = noted(scene)
    assert (waiting.attempt, waiting.crash_count, waiting.lease_id) == (0, 0, None)


def test_what_a_repair_loads_is_watched_as_loading(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    _, (digest,) = finished_elsewhere(scene, "0")
    lose_image(scene, digest)
    watched: list[bool] = []
    loads, loading, network = [False], LeaseKeeper.loading, Runtime.network

    @contextmanager
    def watch(keeper: LeaseKeeper) -> Iterator[None]:
        with loading(keeper):
            loads[0] = True
            yield
            loads[0] = False

    def load(runtime: Runtime, *arguments: str) -> Network:
        watched.append(loads[0])
        return network(runtime, *arguments)

    monkeypatch.setattr(LeaseKeeper, "loading", watch)
    monkeypatch.setattr(Runtime, "network", load)
    assert repairer(scene).look()
    assert watched == [True]
    assert noted(scene) == []


def test_a_process_that_ends_in_mid_repair_gives_it_back_uncharged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (digest,) = finished_elsewhere(scene, "0")
    lose_image(scene, digest)
    keeping = repairer(scene)
    left: list[Any] = []

    def endless_step(*arguments: Any, **options: Any) -> list[Picture]:
        keeping.abandon()
        left.extend(noted(scene))
        return synthesize(*arguments, **options)

    monkeypatch.setattr(worker.upkeep.repairs, "synthesize", endless_step)
    assert keeping.look()
    (waiting,) = left
    assert (waiting.attempt, waiting.crash_count, waiting.lease_id) == (0, 0, None)
    assert len(noted(scene)) == 1  # what was made after that counts no more


def test_what_cannot_be_made_again_is_given_up_with_an_explanation(scene: Scene) -> None:
    _, digests = finished_elsewhere(scene, "0-1")
    for digest in digests:
        lose_image(scene, digest)
    with scene.database.session() as session:
        session.execute(
            text("UPDATE visualizations SET engine = '1' WHERE digest = :digest"), {"digest": digests[1]}
        )
    lost_weights = {"weights_folder": Path("/nowhere")}
    for attempt in range(work.MAX_ATTEMPTS):
        assert len(noted(scene)) == 2, attempt
        hurry(scene)
        assert repairer(scene, make_way=True, **lost_weights).look()
    with scene.database.session() as session:
        found = [losses.noted_loss(session, Subject("visualization", digest)) for digest in digests]
    for loss, word in zip(found, ("small-network.safetensors", "version 1 of dgn-am"), strict=True):
        assert loss is not None
        assert loss.given_up
        assert loss.error is not None
        assert word in loss.error["message"]
    assert counted(scene)["repairs_given_up"] == 2
    # Looked at again, in case that the store has found it, but not tried any more.
    hurry(scene)
    scene.store.put(ArtifactKind.IMAGE, f"image of {digests[1]}".encode(), "image/png")
    assert repairer(scene, make_way=True, **lost_weights).look()
    assert [left.subject for left in noted(scene)] == [f"visualization:{digests[0]}"]


def test_a_generator_is_put_again_from_where_it_is_still_whole(scene: Scene) -> None:
    generator = scene.default_generator()
    key, subject = generator_key(generator.weights_sha256), Subject("generator", generator.id)
    damage(scene.settings, key)
    note(scene, subject, key)
    assert repairer(scene, generator_path=Path("/nowhere")).look()
    (waiting,) = noted(scene)
    assert (waiting.attempt, waiting.given_up) == (1, False)
    hurry(scene)
    assert repairer(scene).look()
    assert noted(scene) == []
    assert hashlib.sha256(scene.store.get(key)).hexdigest() == generator.weights_sha256


def test_the_same_device_makes_the_same_bytes_again(scene: Scene) -> None:
    job = scene.submit("0-1")
    child = scene.start_child()
    scene.wait_until_ended(job)
    child.kill()
    with scene.database.session() as session:
        (digest, *_) = session.scalars(text("SELECT digest FROM visualizations ORDER BY digest"))
    before = row(scene, digest)
    lose_image(scene, digest)
    assert repairer(scene).look()
    assert row(scene, digest)["objects"]["image"] == before["objects"]["image"]
    assert scene.check(job) == {"done": 2}
