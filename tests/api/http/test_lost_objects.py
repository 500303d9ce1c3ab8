"""Bytes that leave the API are those that their ETag names, whatever the store does; what it has lost is said
and noted, and nothing more is ordered by reading."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from api.context import context
from imago_engine.artifacts import ArtifactKind
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.upkeep import tallies
from tests.api.conftest import Start
from tests.api.small_catalog import finish_all, job_body
from tests.store_faults import Fault, damage, faulty_store, lose

pytestmark = pytest.mark.usefixtures("network")
OBJECTS = {
    "image": ArtifactKind.IMAGE,
    "image?view=crop": ArtifactKind.CROP,
    "code": ArtifactKind.CODE,
    "trace": ArtifactKind.TRACE,
}


@pytest.fixture
def digest(client: FlaskClient, database: Database, store: ObjectStore) -> Iterator[str]:
    """A picture with all its objects, the only ones of its kind: other tests share the store."""
    job = client.post("/v1/jobs", json=job_body("6", layer="conv_stem")).get_json()
    finish_all(database, store, crop=True)
    (item,) = client.get(job["links"]["visualizations"]).get_json()["data"]
    keys = _objects(database, item["digest"])
    kept = {kind: store.get(keys[kind]) for kind in OBJECTS.values()}
    yield item["digest"]
    for kind in OBJECTS.values():
        store.put(kind, kept[kind], "application/octet-stream")


def _objects(database: Database, digest: str) -> dict[str, str]:
    """The keys of a picture's objects, by the kind of artifact."""
    with database.session() as session:
        query = sa.text("SELECT kind, object FROM artifacts WHERE digest = :digest")
        return {row.kind: row.object for row in session.execute(query, {"digest": digest})}


def _notes(database: Database) -> list[Any]:
    with database.session() as session:
        return list(session.execute(sa.text("SELECT * FROM work ORDER BY subject")).all())


@pytest.mark.parametrize(
    ("what", "happened"),
    [
        ("image", "missing"),
        ("image", "damaged"),
        ("image?view=crop", "cut short"),
        ("code", "missing"),
        ("trace", "emptied"),
    ],
)
def test_what_the_store_has_lost_is_a_404_and_noted_once(
    anonymous: FlaskClient,
    database: Database,
    store: ObjectStore,
    settings: Settings,
    digest: str,
    what: str,
    happened: str,
) -> None:
    before = _objects(database, digest)
    key = before[OBJECTS[what]]
    whole = store.get(key)
    if happened == "missing":
        lose(store, key)
    else:
        damage(settings, key, {"damaged": None, "cut short": whole[:-1], "emptied": b""}[happened])
    path = f"/v1/visualizations/{digest}/{what}"
    for ask in (anonymous.get, anonymous.head, anonymous.get):
        answer = ask(path)
        assert answer.status_code == 404
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Cache-Control"] == "no-store"
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["type"] == "/docs#problem-object-lost"
    (note,) = _notes(database)
    assert (note.kind, note.subject, note.given_up) == ("repair", f"visualization:{digest}", False)
    assert note.payload["reason"] == ("missing" if happened == "missing" else "damaged")
    assert _objects(database, digest) == before
    detail = anonymous.get(f"/v1/visualizations/{digest}").get_json()
    assert detail["state"] == "done"


def test_nothing_is_ordered_by_whoever_reads(
    anonymous: FlaskClient, database: Database, store: ObjectStore, digest: str
) -> None:
    for column in OBJECTS.values():
        lose(store, _objects(database, digest)[column])
    for _ in range(3):
        for what in OBJECTS:
            assert anonymous.get(f"/v1/visualizations/{digest}/{what}").status_code == 404
    (note,) = _notes(database)
    assert (note.attempt, note.lease_id) == (0, None)
    with database.session() as session:
        waiting = sa.text("SELECT count(*) FROM visualizations WHERE state <> 'done'")
        assert session.execute(waiting).scalar_one() == 0
        found = tallies.read(session)
    assert found == {"found_missing_by_read": 1}


def test_losses_are_metrics(
    anonymous: FlaskClient, database: Database, store: ObjectStore, digest: str
) -> None:
    def shown() -> list[str]:
        return anonymous.get("/metrics").get_data(as_text=True).splitlines()

    none = 'imago_objects_lost_total{found_by="read",reason="missing"} 0.0'
    assert none in shown()  # from the beginning, so that rates can be computed
    lose(store, _objects(database, digest)["image"])
    anonymous.get(f"/v1/visualizations/{digest}/image")
    assert none.replace("0.0", "1.0") in shown()
    assert 'imago_repairs_open{state="waiting"} 1.0' in shown()
    assert "imago_objects_collected_total 0.0" in shown()


@pytest.mark.parametrize("fault", ["500", "503", "cut", "closed"])
def test_a_store_that_fails_for_a_moment_has_lost_nothing(
    start: Start, settings: Settings, database: Database, digest: str, fault: Fault
) -> None:
    with faulty_store(settings) as (relay, through):
        client = start(s3_endpoint_url=through.s3_endpoint_url).test_client()
        path = f"/v1/visualizations/{digest}/image"
        whole = client.get(path)
        assert whole.status_code == 200
        relay.fault = fault
        for what in OBJECTS:
            answer = client.get(f"/v1/visualizations/{digest}/{what}")
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
        assert _notes(database) == []
        relay.fault = "none"
        assert client.get(path).data == whole.data


def test_a_bucket_that_is_not_there_has_lost_nothing(start: Start, database: Database, digest: str) -> None:
    answer = start(s3_bucket="another-bucket").test_client().get(f"/v1/visualizations/{digest}/image")
    assert answer.status_code == 503
    assert _notes(database) == []


def test_who_has_the_bytes_already_needs_none_of_the_store(
    anonymous: FlaskClient, database: Database, store: ObjectStore, digest: str
) -> None:
    path = f"/v1/visualizations/{digest}/image"
    etag = anonymous.get(path).headers["ETag"]
    lose(store, _objects(database, digest)["image"])
    assert anonymous.get(path, headers={"If-None-Match": etag}).status_code == 304
    assert _notes(database) == []


def test_no_one_is_redirected_to_what_is_known_to_be_lost(
    start: Start, anonymous: FlaskClient, database: Database, store: ObjectStore, digest: str
) -> None:
    redirecting = start(image_delivery="redirect").test_client()
    path = f"/v1/visualizations/{digest}/image"
    assert redirecting.get(path).status_code == 302
    lose(store, _objects(database, digest)["image"])
    assert anonymous.get(path).status_code == 404
    answer = redirecting.get(path)
    assert answer.status_code == 404
    assert int(answer.headers["Retry-After"]) > 0


def test_what_was_replaced_meanwhile_is_not_noted(
    anonymous: FlaskClient,
    database: Database,
    store: ObjectStore,
    digest: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The row is repaired between the reading of the row and that of the object."""
    old = _objects(database, digest)["image"]
    new = store.put(ArtifactKind.IMAGE, b"made again", "image/png")
    lose(store, old)
    reading = ObjectStore.verified

    def repair_first(self: ObjectStore, key: str) -> Any:
        with database.session() as session:
            repair = sa.text("UPDATE artifacts SET object = :new WHERE digest = :digest AND kind = 'image'")
            session.execute(repair, {"new": new, "digest": digest})
        return reading(self, key)

    monkeypatch.setattr(ObjectStore, "verified", repair_first)
    answer = anonymous.get(f"/v1/visualizations/{digest}/image")
    assert answer.status_code == 404
    assert int(answer.headers["Retry-After"]) == 1
    assert _notes(database) == []
    monkeypatch.undo()
    again = anonymous.get(f"/v1/visualizations/{digest}/image")
    assert again.headers["ETag"] == f'"{hashlib.sha256(b"made again").hexdigest()}"'


def test_a_store_that_says_nothing_holds_half_of_the_threads_at_most(
    app: Flask, client: FlaskClient, digest: str
) -> None:
    path = f"/v1/visualizations/{digest}/image"
    turns = context(app).store_reads
    taken = 0
    while turns.acquire(blocking=False):
        taken += 1
    try:
        answer = client.get(path)
    finally:
        for _ in range(taken):
            turns.release()
    assert taken == 8
    assert answer.status_code == 503
    assert client.get(path).status_code == 200
