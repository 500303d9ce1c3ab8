"""What no row points to goes, what one points to stays, whoever writes at the same moment."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from imago_engine.artifacts import ArtifactKind
from services.base.database import Database
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore, generator_key, training_key
from services.queue import batches
from services.queue.batches import Finished
from services.trainings import leases as training_leases
from services.trainings import trainings
from services.trainings.leases import Sample, TrainingClaim
from services.trainings.request import TrainingRequest
from services.upkeep import collection
from services.upkeep.collection import collect
from tests.integration import staging
from tests.integration.staging import claim, request, submit
from tests.small_training import register_encoder
from tests.store_faults import faulty_store

ANY_AGE = -60.0
"""Everything is older than this: clocks of stores count whole seconds."""


def collect_all(database: Database, store: ObjectStore, **how: Any) -> int:
    """A whole round; returns how many objects were removed."""
    removed, after = 0, ""
    while True:
        done = collect(database, store, after, **{"min_age": ANY_AGE, **how})
        removed += done.removed
        if done.after is None:
            return removed
        after = done.after


def finished(database: Database, store: ObjectStore, units: str = "0-3") -> list[Finished]:
    """A job's pictures, done, with their objects in the store."""
    submit(database, request(units))
    claimed = claim(database)
    results = [staging.real_picture(store, work.digest) for work in claimed.items]
    with database.session() as session:
        assert batches.conclude(session, claimed.lease_id, finished=results)
    return results


def stale(database: Database) -> set[str]:
    with database.session() as session:
        return set(session.scalars(text("SELECT key FROM collected WHERE removed_at IS NULL")))


_REQUEST = TrainingRequest.model_validate({"sources": ["birds"], "pictures": 100})


def test_what_no_row_points_to_is_removed_and_nothing_else(staged: Database, emptied: ObjectStore) -> None:
    store = emptied
    kept = {key for result in finished(staged, store) for key in result.objects}
    kept.add(_put(store, generator_key("b" * 64)))  # of the catalog's generator
    orphans = {store.put(ArtifactKind.IMAGE, b"nobody's", "image/png"), _put(store, generator_key("c" * 64))}
    foreign = {
        _put(store, key) for key in ("backups/x.png", "objects/readme.txt", "objects-of-others/a", "z")
    }
    assert collect_all(staged, store) == len(orphans)
    assert set(store.keys("")) == kept | foreign
    assert stale(staged) == set()


def test_what_was_put_lately_stays_whoever_points_to_it(staged: Database, emptied: ObjectStore) -> None:
    key = emptied.put(ArtifactKind.IMAGE, b"nobody's", "image/png")
    assert collect_all(staged, emptied, min_age=collection.min_age_seconds(60)) == 0
    assert emptied.has(key)
    assert collection.min_age_seconds(60) == 86_400
    assert collection.min_age_seconds(10_000) == 100_000


def test_parts_of_uploads_that_never_ended_are_removed(staged: Database, emptied: ObjectStore) -> None:
    interrupted, foreign = _begin_upload(emptied, generator_key("d" * 64)), _begin_upload(emptied, "z")
    collect_all(staged, emptied, min_age=collection.min_age_seconds(60))
    assert set(_uploads(emptied)) == {interrupted, foreign}
    collect_all(staged, emptied, may_go_on=lambda: False)
    assert set(_uploads(emptied)) == {interrupted, foreign}
    collect_all(staged, emptied)
    assert _uploads(emptied) == [foreign]
    key, id = foreign
    emptied._client.abort_multipart_upload(Bucket=emptied._bucket, Key=key, UploadId=id)


def test_an_upload_that_has_ended_meanwhile_is_no_error(staged: Database, emptied: ObjectStore) -> None:
    key, id = _begin_upload(emptied, generator_key("d" * 64))
    (upload,), _ = emptied.uploads("generators/")
    assert (upload.key, upload.id) == (key, id)
    emptied.abort(upload)
    emptied.abort(upload)
    assert _uploads(emptied) == []


def _begin_upload(store: ObjectStore, key: str) -> tuple[str, str]:
    """An upload of which one part was brought: its key and id."""
    client, bucket = store._client, store._bucket
    id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    client.upload_part(Bucket=bucket, Key=key, UploadId=id, PartNumber=1, Body=b"?" * 1000)
    return key, id


def _uploads(store: ObjectStore) -> list[tuple[str, str]]:
    found = store._client.list_multipart_uploads(Bucket=store._bucket).get("Uploads", [])
    return [(entry["Key"], entry["UploadId"]) for entry in found]


def test_of_a_training_stays_what_its_claim_may_still_point_to(
    staged: Database, emptied: ObjectStore
) -> None:
    register_encoder(staged)
    with staged.session() as session:
        id = trainings.submit(session, "birds", _REQUEST).id
    before = _claim_training(staged)
    with staged.session() as session:
        assert training_leases.release(session, id, before.lease_id)
    now = _claim_training(staged)
    log = training_key(id, now.lease_id, "1" * 64, "jsonl")
    checkpoint = training_key(id, now.lease_id, "2" * 64, "safetensors")
    in_flight = training_key(id, now.lease_id, "3" * 64, "safetensors")
    grid = emptied.put(ArtifactKind.IMAGE, b"grid", "image/png")
    with staged.session() as session:
        assert training_leases.save(session, id, now.lease_id, checkpoint, log, {}) is not None
        sample = Sample(10, {}, grid, datetime.now(UTC))
        assert training_leases.report(session, id, now.lease_id, {}, [sample])
    left_behind = training_key(id, before.lease_id, "4" * 64, "safetensors")
    of_none = training_key("trn_gone", 1, "5" * 64, "jsonl")
    for key in (log, checkpoint, in_flight, left_behind, of_none):
        _put(emptied, key)
    assert collect_all(staged, emptied) == 2
    assert set(emptied.keys("")) == {log, checkpoint, in_flight, grid}


def _claim_training(database: Database) -> TrainingClaim:
    with database.session() as session:
        claimed = training_leases.claim(session, "worker", lease_seconds=60)
    assert claimed is not None
    return claimed


def _put(store: ObjectStore, key: str) -> str:
    store._client.put_object(Bucket=store._bucket, Key=key, Body=b"?")
    return key


class Writer:
    """A worker whose picture comes to bytes that lie in the store unused."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self.database, self.store = database, store
        submit(database, request("7"))
        self.claimed = claim(database)
        (self.work,) = self.claimed.items
        self.result = staging.real_picture(store, self.work.digest)

    def put(self) -> None:
        assert staging.real_picture(self.store, self.work.digest) == self.result

    def commit(self) -> set[str]:
        with self.database.session() as session:
            return batches.conclude(session, self.claimed.lease_id, finished=[self.result])

    def put_and_commit(self) -> None:
        self.put()
        self.commit()

    def assert_nothing_lost(self) -> None:
        """Whatever became of the item: what is done has its objects, and what is not is done in the end."""
        staging.assert_consistent(self.database)
        for _ in range(2):
            with self.database.session() as session:
                row = session.execute(text("SELECT * FROM visualizations")).one()
            if row.state == "done":
                assert all(self.store.has(key) for key in self.result.objects)
                return
            self.claimed = claim(self.database)
            self.put_and_commit()
        raise AssertionError(f"never done: {row}")


@pytest.mark.parametrize("moment", ["list", "age_seconds", "delete"])
@pytest.mark.parametrize("order", ["put, commit", "put", "commit"])
def test_a_writer_at_the_same_moment_loses_nothing(
    staged: Database, emptied: ObjectStore, monkeypatch: pytest.MonkeyPatch, moment: str, order: str
) -> None:
    """The writer acts in the midst of the collector's slice: after it listed, before it looks at the age of
    what it has written down, or right before it removes it; what is left it does afterwards."""
    writer = Writer(staged, emptied)
    real: Callable[..., Any] = getattr(ObjectStore, moment)
    acted: list[str] = []
    acts: dict[str, Callable[[], object]] = {
        "put, commit": writer.put_and_commit,
        "put": writer.put,
        "commit": writer.commit,
    }

    def in_the_midst(store: ObjectStore, *arguments: Any) -> Any:
        answer = real(store, *arguments) if moment == "list" else None
        if not acted:
            acted.append(moment)
            acts[order]()
        return real(store, *arguments) if moment != "list" else answer

    monkeypatch.setattr(ObjectStore, moment, in_the_midst)
    collect_all(staged, emptied)
    monkeypatch.undo()
    assert acted
    if order == "put":
        writer.commit()
    writer.assert_nothing_lost()


def test_what_is_put_again_before_the_last_look_is_spared(
    staged: Database, emptied: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(staged, emptied)
    time.sleep(4)
    real = ObjectStore.age_seconds

    def put_first(store: ObjectStore, key: str) -> float:
        writer.put()
        return real(store, key)

    monkeypatch.setattr(ObjectStore, "age_seconds", put_first)
    assert collect_all(staged, emptied, min_age=2.5) == 0
    assert writer.commit() == {writer.work.digest}
    writer.assert_nothing_lost()


def test_the_collector_waits_for_a_writer_that_is_about_to_commit(
    staged: Database, emptied: ObjectStore
) -> None:
    writer = Writer(staged, emptied)
    with ThreadPoolExecutor(1) as pool:
        with staged.session() as session:
            assert batches.conclude(session, writer.claimed.lease_id, finished=[writer.result])
            collecting = pool.submit(collect_all, staged, emptied)
            _until_it_waits(staged)
        assert collecting.result() == 0
    writer.assert_nothing_lost()


def _until_it_waits(database: Database) -> None:
    deadline = time.monotonic() + 60
    query = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    while time.monotonic() < deadline:
        with database.session() as session:
            if session.execute(query).scalar_one():
                return
        threading.Event().wait(0.02)
    raise AssertionError("nobody waits for the lock")


def test_a_collector_that_died_is_finished_by_the_next(
    staged: Database, emptied: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    unused = {emptied.put(ArtifactKind.IMAGE, bytes([n]), "image/png") for n in range(3)}
    used = Writer(staged, emptied)

    def die(*_: Any) -> None:
        raise Unavailable("object store")

    monkeypatch.setattr(ObjectStore, "delete", die)
    with pytest.raises(Unavailable):
        collect_all(staged, emptied)
    monkeypatch.undo()
    assert unused <= stale(staged)
    assert used.commit() == set()  # what is being removed is not pointed to
    assert collect_all(staged, emptied) >= len(unused)
    assert stale(staged) == set()
    used.assert_nothing_lost()


def test_a_lost_claim_removes_nothing_more(staged: Database, emptied: ObjectStore) -> None:
    for n in range(3):
        emptied.put(ArtifactKind.IMAGE, bytes([n]), "image/png")
    leave = iter([True, False])
    assert collect_all(staged, emptied, may_go_on=lambda: next(leave, False)) == 1
    assert len(emptied.keys("objects/")) == 2


def test_nothing_is_removed_while_the_store_is_copied(staged: Database, emptied: ObjectStore) -> None:
    emptied.put(ArtifactKind.IMAGE, b"nobody's", "image/png")
    with staged.session() as session:
        collection.hold_off(session)
        assert collect_all(staged, emptied) == 0
    assert collect_all(staged, emptied) == 1


def test_a_store_that_fails_costs_nothing_but_time(
    staged: Database, emptied: ObjectStore, shared_settings: Settings
) -> None:
    kept = {key for result in finished(staged, emptied) for key in result.objects}
    orphan = emptied.put(ArtifactKind.IMAGE, b"nobody's", "image/png")
    with faulty_store(shared_settings) as (relay, through):
        relay.fault = "500"
        with pytest.raises(Unavailable):
            collect_all(staged, ObjectStore(through))
        relay.fault = "none"
        assert collect_all(staged, ObjectStore(through)) == 1
    assert set(emptied.keys("")) == kept
    assert orphan not in kept


def test_a_grid_that_is_being_removed_is_put_again_before_it_is_pointed_to(
    staged: Database, emptied: ObjectStore
) -> None:
    grid = emptied.put(ArtifactKind.IMAGE, b"grid", "image/png")
    assert collect_all(staged, emptied) == 1
    with staged.session() as session, pytest.raises(Unavailable, match="removing an unused object"):
        training_leases.report(session, "trn_x", 1, {}, [Sample(1, {}, grid, datetime.now(UTC))])


def test_a_generator_that_is_being_removed_is_put_again_before_its_training_points_to_it(
    staged: Database, emptied: ObjectStore
) -> None:
    _put(emptied, generator_key("c" * 64))
    assert collect_all(staged, emptied) == 1
    claim = TrainingClaim("trn_x", 1, "x", _REQUEST, None, None, 0)
    ends: dict[str, Any] = {"info": {}, "log": "l", "card": None, "progress": {}, "samples": ()}
    with staged.session() as session, pytest.raises(Unavailable, match="removing an unused object"):
        training_leases.finish(session, claim, sha256="c" * 64, **ends)
