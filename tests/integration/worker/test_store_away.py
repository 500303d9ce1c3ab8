"""A worker that is cut off from the store gives back what it has, takes nothing, and says why."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import botocore.compat
import pytest

from infra.local import ports
from services.base.errors import ClockOff, Refused, Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.base.store_errors import now as real_now
from services.queue import batches, workers
from tests.integration.worker.batch_runner import leases_of, run_everything
from tests.integration.worker.test_batches import blank, held
from tests.worker_processes import MAX_BATCH, Scene, until
from worker.batches.computation import Computed, Made
from worker.batches.deliver import Delivery
from worker.batches.provenance import Provenance
from worker.batches.runner import BatchRunner
from worker.batches.size import BatchSizer
from worker.loading.runtime import Runtime
from worker.process import store_watch
from worker.process.devices import choose_device
from worker.process.presence import Presence
from worker.process.stopping import StopFlag
from worker.process.store_watch import StoreWatch


def nowhere(settings: Settings) -> Settings:
    """The same with a store where nothing listens."""
    return settings.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{ports.pick(1)[0]}"})


def runner(scene: Scene, delivery: Delivery) -> BatchRunner:
    device = choose_device("cpu", threads=1)
    return BatchRunner(
        leases_of(scene),
        runtime=Runtime(scene.database, scene.store, scene.settings, device),
        sizer=BatchSizer(batch_seconds=20, max_batch=MAX_BATCH, round_size=MAX_BATCH),
        delivery=delivery,
        settings=scene.settings,
        stop=StopFlag(),
    )


def test_a_batch_that_the_store_does_not_take_is_given_back_though_the_heart_beats(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_watch, "PATIENT_SECONDS", 0.0)
    job_id = scene.submit("0-1")
    away = ObjectStore(nowhere(scene.settings))
    delivery = Delivery(
        leases_of(scene),
        away,
        Provenance("test-worker", choose_device("cpu", threads=1)),
        StopFlag(),
        store_patience=0.2,
    )
    with scene.database.session() as session:
        claim = batches.claim(session, "test-worker", limit=2, lease_seconds=3600)
    assert claim is not None
    made = [Made(work, blank(), 2, 4, 1.0) for work in claim.items]
    delivery.deliver(claim, Computed(made=made), held(scene, claim))
    assert scene.job(job_id).units.queued == 2
    assert scene.count("SELECT sum(attempt + crash_count) FROM visualizations") == 0
    assert delivery.store_watch.reason == "The object store does not answer."

    # From now on nothing is claimed, until the store answers.
    leases_before = scene.count("SELECT count(*) FROM leases WHERE kind = 'batch'")
    running = runner(scene, delivery)
    assert not running.run_batch()
    assert scene.count("SELECT count(*) FROM leases WHERE kind = 'batch'") == leases_before
    delivery.store_watch._store = delivery._store = scene.store  # the way to the store is free again
    run_everything(running)
    assert scene.check(job_id) == {"done": 2}
    assert delivery.store_watch.reason is None


def test_a_worker_that_never_had_a_store_is_seen_with_its_reason_and_takes_nothing(scene: Scene) -> None:
    job_id = scene.submit("0-1", steps=1)
    environment = {"IMAGO_S3_ENDPOINT_URL": nowhere(scene.settings).s3_endpoint_url}
    scene.start_child(**environment)

    def reasons() -> list[tuple[str, str | None]]:
        with scene.database.session() as session:
            return [(worker.state, worker.reason) for worker in workers.queue(session).known]

    until(
        lambda: reasons() == [("waiting", "The object store does not answer.")],
        "the queue says what the worker waits for",
    )
    assert scene.job(job_id).units.queued == 2
    assert scene.count("SELECT count(*) FROM leases WHERE kind = 'batch'") == 0


@pytest.mark.parametrize(("hours", "how"), [(2, "120 minutes ahead of"), (-2, "120 minutes behind")])
def test_a_clock_that_is_off_is_named_as_such(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, hours: int, how: str
) -> None:
    # What the store is asked is signed as if this machine's clock were off; it answers as it does then.
    off = timedelta(hours=hours)
    signed_at = cast(Any, botocore.compat.get_current_datetime)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *a, **k: signed_at(*a, **k) + off)
    monkeypatch.setattr("services.base.store_errors.now", lambda: real_now() + off)
    asks: list[Callable[[], object]] = [store.probe, lambda: store.probe(write=True), store.ping]
    for ask in asks:
        with pytest.raises(ClockOff, match=how):
            ask()
    watch = StoreWatch(store)
    assert not watch.answers()
    assert "clock" in (watch.reason or "")
    assert "does not answer" not in (watch.reason or "")


def test_a_store_that_refuses_is_told_from_one_that_does_not_answer(
    store: ObjectStore, settings: Settings
) -> None:
    stranger = ObjectStore(settings.model_copy(update={"s3_access_key": "nobody"}))
    with pytest.raises(Refused, match="answers, but refuses"):
        stranger.probe()
    with pytest.raises(Unavailable, match="does not answer"):
        ObjectStore(nowhere(settings)).probe()


def test_the_store_is_believed_for_a_moment_and_asked_again_after_it(
    store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(store_watch, "time", clock)
    watch = StoreWatch(store)
    assert watch.answers()
    watch._store = ObjectStore(nowhere(settings))
    assert watch.answers()
    clock.monotonic = lambda: now + store_watch.TRUSTED_SECONDS
    assert not watch.answers()


def test_a_worker_whose_store_hangs_is_seen_all_the_same(scene: Scene) -> None:
    asked, answer = threading.Event(), threading.Event()

    class Hanging(StoreWatch):
        def answers(self) -> bool:
            asked.set()
            return answer.wait(60)

    def seen() -> object:
        with scene.database.session() as session:
            return next(worker.seen_at for worker in workers.list(session) if worker.id == "hanging")

    settings = scene.settings.model_copy(update={"heartbeat_seconds": 0.1})
    stop = StopFlag()
    presence = Presence(scene.database, settings, "hanging", "cpu", Hanging(scene.store), stop)
    presence.introduce()
    presence.start()
    try:
        assert asked.wait(60)
        before = seen()
        until(lambda: seen() != before, "a sign of life beside a store that hangs")
    finally:
        stop.ask(0)
        answer.set()
    presence.sign_off()
    with scene.database.session() as session:
        assert ("hanging", "stopped") in [(worker.id, worker.state) for worker in workers.list(session)]


def test_a_worker_stays_seen_and_asks_the_store_whatever_one_of_its_errors_was(scene: Scene) -> None:
    asked = 0

    class Faulty(StoreWatch):
        def answers(self) -> bool:
            nonlocal asked
            asked += 1
            raise RuntimeError("a defect")

        @property
        def reason(self) -> str | None:
            if asked < 2:
                raise OSError("stale file handle")
            return "seen again"

    def reason() -> str | None:
        with scene.database.session() as session:
            return next(worker.reason for worker in workers.list(session) if worker.id == "faulty")

    settings = scene.settings.model_copy(update={"heartbeat_seconds": 0.1})
    stop = StopFlag()
    presence = Presence(scene.database, settings, "faulty", "cpu", Faulty(scene.store), stop)
    presence.introduce()
    presence.start()
    try:
        until(lambda: reason() == "seen again", "a sign of life after the errors", seconds=60)
    finally:
        stop.ask(0)
