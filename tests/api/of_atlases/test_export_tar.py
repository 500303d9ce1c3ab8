"""Exports over HTTP: written down by workers, then served as one tar, of which any part can be asked for."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from typing import IO

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from api.http.places import Limits, Places
from api.operations import download
from api.operations.download import DOWNLOADS
from api.problems.problems import Problem
from services.base.database import Database
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.exports import making, parts
from services.pictures.losses import Subject
from services.upkeep import collection, scrubbing
from services.upkeep.scrubbing import Cursor
from tests.api.small_catalog import NETWORK, finish_all, with_key
from tests.integration.atlases.building import carry_out
from tests.store_faults import lose
from worker.exports import export_turn
from worker.exports.export_turn import Exports, InMaking
from worker.leasing import chore_turns
from worker.leasing.held_leases import HeldLeases
from worker.process.stopping import StopFlag

LAYER = "blocks.0.1"
UNITS = 20


def make_exports(database: Database, store: ObjectStore, settings: Settings) -> int:
    """What a worker does; returns in how many turns."""
    stop, turns = StopFlag(), 0
    worker = Exports(HeldLeases(database, settings, "tester", stop), store, stop, alternating=False)
    while worker.look():
        turns += 1
    return turns


def publish(client: FlaskClient, database: Database, store: ObjectStore) -> str:
    """The path of a published version of a public atlas."""
    asked = {"network": NETWORK, "layers": [LAYER], "units": f"0-{UNITS - 1}", "visibility": "public"}
    made = client.post("/v1/atlases", json=asked).get_json()
    carry_out(database, made["id"])
    finish_all(database, store)
    assert client.post(f"{made['links']['self']}/publish").status_code == 200
    return f"{made['links']['self']}/versions/1"


@pytest.fixture
def version(
    client: FlaskClient,
    database: Database,
    store: ObjectStore,
    network: str,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The path of a version whose export has several parts, and is not written yet."""
    monkeypatch.setattr(parts, "AT_ONCE", 7)
    return publish(client, database, store)


@pytest.fixture
def exported(version: str, database: Database, store: ObjectStore, settings: Settings) -> str:
    make_exports(database, store, settings)
    return f"{version}/export.tar"


@pytest.fixture
def picture(exported: str, database: Database, store: ObjectStore) -> Iterator[str]:
    """The key of the last picture, which lies in the store again afterwards: other tests share it."""
    with database.session() as session:
        key: str = session.execute(
            sa.text("""
                SELECT object FROM atlas_entries JOIN artifacts USING (digest)
                WHERE kind = 'image' ORDER BY unit DESC LIMIT 1
            """)
        ).scalar_one()
    kept = store.get(key)
    yield key
    store.put_under(key, kept, "image/png")


def files_in(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as opened:
        return {member.name: opened.extractfile(member).read() for member in opened}  # type: ignore[union-attr]


def test_an_export_is_there_once_a_worker_wrote_it_and_lists_all_that_it_holds(
    anonymous: FlaskClient, version: str, database: Database, store: ObjectStore, settings: Settings
) -> None:
    early = anonymous.get(f"{version}/export.tar")
    assert (early.status_code, early.headers["Retry-After"]) == (404, "5")
    assert early.get_json()["type"] == "/docs#problem-not-written"
    make_exports(database, store, settings)
    answer = anonymous.get(f"{version}/export.tar")
    assert (answer.status_code, answer.mimetype) == (200, "application/x-tar")
    assert (answer.headers["Accept-Ranges"], answer.content_length) == ("bytes", len(answer.data))
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    files = files_in(answer.data)
    assert [*files][:4] == ["atlas.json", "SHA256SUMS", "metadata.jsonl", "units.jsonl"]
    sums = [line.split("  ", 1) for line in files["SHA256SUMS"].decode().splitlines()]
    assert {name for _, name in sums} == files.keys() - {"atlas.json", "SHA256SUMS"}
    assert all(hashlib.sha256(files[name]).hexdigest() == stated for stated, name in sums)
    manifest = json.loads(files["atlas.json"])
    assert (manifest["entries"], manifest["pictures"]) == (UNITS, UNITS)
    for name, stated in manifest["files"].items():
        assert stated == {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
    pictures = [json.loads(line)["file_name"] for line in files["units.jsonl"].splitlines()]
    assert pictures == [name for name in files if name.startswith("images/")]


@pytest.mark.thorough
def test_any_part_of_it_has_the_bytes_that_the_whole_has_there(anonymous: FlaskClient, exported: str) -> None:
    whole = anonymous.get(exported)
    size, etag = len(whole.data), whole.headers["ETag"]
    assert etag.startswith('"')
    for first in range(0, size, 777):
        part = anonymous.get(exported, headers={"Range": f"bytes={first}-", "If-Range": etag})
        assert (part.status_code, part.headers["ETag"]) == (206, etag)
        assert part.headers["Content-Range"] == f"bytes {first}-{size - 1}/{size}"
        assert part.data == whole.data[first:]
    for asked, meant in (
        ("100-100", slice(100, 101)),
        (f"5000-{size + 5}", slice(5000, None)),
        ("-9000", slice(size - 9000, None)),
        (f"-{size + 1}", slice(None)),
    ):
        part = anonymous.get(exported, headers={"Range": f"bytes={asked}"})
        assert (part.status_code, part.content_length) == (206, len(part.data))
        assert part.data == whole.data[meant]
    # What is no range, several of them, or about other bytes, is answered with the whole.
    for headers in (
        {"Range": "lines=1-2"},
        {"Range": "bytes=7-3"},
        {"Range": "bytes=0-1,5-6"},
        {"Range": "bytes=9-", "If-Range": '"other"'},
        {"Range": "bytes=9-", "If-Range": f"W/{etag}"},
    ):
        answer = anonymous.get(exported, headers=headers)
        assert (answer.status_code, answer.data) == (200, whole.data)
    beyond = anonymous.get(exported, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    head = anonymous.head(exported, headers={"Range": "bytes=9-"})
    assert (head.status_code, head.content_length, head.data) == (200, size, b"")
    for held in (etag, f"W/{etag}"):
        assert anonymous.get(exported, headers={"If-None-Match": held}).status_code == 304


def test_parts_of_other_bytes_than_those_that_are_meant_are_refused(
    anonymous: FlaskClient, exported: str
) -> None:
    etag = anonymous.head(exported).headers["ETag"]
    for meant in (etag, "*", f'"older", {etag}'):
        part = anonymous.get(exported, headers={"Range": "bytes=0-4", "If-Match": meant})
        assert (part.status_code, len(part.data)) == (206, 5)
    for meant in ('"older"', f"W/{etag}"):
        for method in (anonymous.get, anonymous.head):
            refused = method(exported, headers={"Range": "bytes=0-4", "If-Match": meant})
            assert (refused.status_code, refused.headers["ETag"]) == (412, etag)
    assert anonymous.get(exported, headers={"If-Match": '"older"'}).get_json()["type"].endswith("changed")


def test_what_it_holds_stays_whatever_happens_to_the_atlas_later(
    client: FlaskClient, database: Database, store: ObjectStore, settings: Settings, exported: str
) -> None:
    before = client.get(exported)
    atlas = exported.rpartition("/versions")[0]
    assert client.post(f"{atlas}/change", json={"name": "Another"}).status_code == 200
    assert client.post(f"{atlas}/extend", json={"facets": 2}).status_code == 202
    with database.session() as session:
        session.execute(sa.text("UPDATE networks SET labels = '[]'"))
        session.execute(sa.text("UPDATE visualizations SET score = score - 1"))
    make_exports(database, store, settings)
    after = client.get(exported)
    assert (after.headers["ETag"], after.data) == (before.headers["ETag"], before.data)


def test_only_what_is_published_is_exported_and_only_for_those_who_see_it(
    app: Flask, client: FlaskClient, anonymous: FlaskClient, database: Database, exported: str
) -> None:
    refused = anonymous.get(exported.replace("/1/", "/open/"))
    assert (refused.status_code, "publish it" in refused.get_json()["detail"]) == (409, True)
    assert anonymous.get(exported.replace("/1/", "/7/")).status_code == 404
    assert anonymous.get(exported.replace("/1/", "/latest/")).headers["Cache-Control"] == "public, no-cache"
    atlas = exported.rpartition("/versions")[0]
    assert f'{exported}" download' in client.get(atlas.removeprefix("/v1")).text
    assert client.post(f"{atlas}/change", json={"visibility": "private"}).status_code == 200
    own = client.get(exported)
    assert (own.status_code, "private" in own.headers["Cache-Control"]) == (200, True)
    for stranger in (anonymous, with_key(app, database, "read", "jobs:write")):
        assert stranger.get(exported).status_code == 404


def test_a_picture_that_is_lost_is_told_at_once_or_breaks_the_download_off(
    anonymous: FlaskClient,
    database: Database,
    store: ObjectStore,
    exported: str,
    picture: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, kept = anonymous.get(exported).data, store.get(picture)
    lose(store, picture)
    refused = anonymous.get(exported)
    assert (refused.status_code, refused.get_json()["type"]) == (404, "/docs#problem-object-lost")
    assert refused.headers["Retry-After"] == "30"
    monkeypatch.setattr(download, "BEGUN_BYTES", 1)
    answer = anonymous.get(exported, buffered=False)
    assert (answer.status_code, answer.content_length) == (200, len(whole))
    received: list[bytes] = []
    with pytest.raises(Problem):
        received.extend(answer.iter_encoded())
    answer.close()
    there = sum(map(len, received))
    assert 0 < there < len(whole)
    with database.session() as session:
        assert session.execute(sa.text("SELECT count(*) FROM work WHERE kind = 'repair'")).scalar_one() == 1
    store.put_under(picture, kept, "image/png")
    rest = anonymous.get(exported, headers={"Range": f"bytes={there}-"})
    assert b"".join(received) + rest.data == whole


def test_where_a_lost_picture_was_made_again_with_other_bytes_the_export_is_another_one(
    anonymous: FlaskClient,
    database: Database,
    store: ObjectStore,
    settings: Settings,
    exported: str,
    picture: str,
) -> None:
    before = anonymous.get(exported).headers["ETag"]
    with database.session() as session:
        replace = sa.text("""
            UPDATE artifacts SET object = other.object, bytes = other.bytes
            FROM (SELECT * FROM artifacts WHERE kind = 'image' AND object <> :key LIMIT 1) AS other
            WHERE artifacts.object = :key
        """)
        session.execute(replace, {"key": picture})
    lose(store, picture)
    assert anonymous.get(exported).get_json()["type"] == "/docs#problem-object-lost"
    assert anonymous.get(exported).get_json()["type"] == "/docs#problem-not-written"
    make_exports(database, store, settings)
    after = anonymous.get(exported)
    assert after.status_code == 200
    assert after.headers["ETag"] != before
    assert b"images/" in after.data


def test_what_lists_the_pictures_is_kept_looked_through_and_written_again_where_it_is_lost(
    anonymous: FlaskClient, database: Database, store: ObjectStore, settings: Settings, exported: str
) -> None:
    before = anonymous.get(exported)
    columns = sa.text("""
        SELECT unnest(ARRAY[units_object, table_object, sums_object]) FROM atlas_export_parts
        UNION ALL SELECT unnest(ARRAY[manifest_object, sums_object]) FROM atlas_exports
    """)
    with database.session() as session:
        keys = session.scalars(columns).all()
        assert len(keys) == 3 * 3 + 2
        assert collection.pointed_to(session, keys) == {*keys}
    lose(store, keys[4])
    lost = 0
    for stage in ("exports", "export_parts"):
        at: Cursor | None = Cursor(stage)
        while at is not None and at.stage == stage:
            found = scrubbing.scrub(database, store, at, rows=1)
            at, lost = found.cursor, lost + found.lost
    assert lost == 1
    assert anonymous.get(exported).get_json()["type"] == "/docs#problem-object-lost"
    with database.session() as session:
        (subject,) = session.scalars(sa.text("SELECT subject FROM work WHERE kind = 'repair'"))
        making.make_again(session, Subject.parse(subject))
    make_exports(database, store, settings)
    after = anonymous.get(exported)
    assert (after.headers["ETag"], after.data) == (before.headers["ETag"], before.data)


def test_a_worker_that_dies_in_the_midst_loses_a_part_and_the_bytes_are_the_same(
    anonymous: FlaskClient,
    database: Database,
    store: ObjectStore,
    settings: Settings,
    version: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []

    def die(name: str) -> None:
        written.append(name)
        if len(written) == 2:
            raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(export_turn, "crash_point", die)
        with pytest.raises(SystemExit):
            make_exports(database, store, settings)
    with database.session() as session:
        assert session.execute(sa.text("SELECT count(*) FROM atlas_export_parts")).scalar_one() == 1
        assert session.execute(sa.text("UPDATE work SET lease_id = NULL WHERE kind = 'export'")).rowcount == 1  # type: ignore[attr-defined]
    monkeypatch.setattr(chore_turns, "SLICE_SECONDS", 0.0)
    # Of three parts, three objects each.
    assert make_exports(database, store, settings) == 2 + 9, "two more parts, and each object once more"
    interrupted = anonymous.get(f"{version}/export.tar")
    with database.session() as session:
        session.execute(sa.text("DELETE FROM atlas_exports"))
    assert anonymous.get(f"{version}/export.tar").status_code == 404
    make_exports(database, store, settings)
    whole = anonymous.get(f"{version}/export.tar")
    assert (interrupted.headers["ETag"], interrupted.data) == (whole.headers["ETag"], whole.data)


def test_what_a_worker_has_hashed_of_an_export_is_not_read_again_after_an_interruption(
    anonymous: FlaskClient,
    database: Database,
    store: ObjectStore,
    settings: Settings,
    version: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    verified = ObjectStore.verified

    def away_once(self: ObjectStore, key: str) -> IO[bytes]:
        read.append(key)
        if len(read) == 5:
            raise Unavailable("object store")
        return verified(self, key)

    monkeypatch.setattr(ObjectStore, "verified", away_once)
    stop = StopFlag()
    held, in_making = HeldLeases(database, settings, "tester", stop), InMaking()
    # As a worker has it among its work: in two places.
    places = [
        Exports(held, store, stop, alternating=False, in_making=in_making),
        Exports(held, store, stop, alternating=False, in_making=in_making),
    ]
    with pytest.raises(Unavailable):
        places[0].look()
    while places[1].look():
        pass
    assert read.count(read[4]) == 2
    assert len(read) == len({*read}) + 1, "each object once, but for the one that was away"
    assert anonymous.get(f"{version}/export.tar").status_code == 200


def test_so_many_downloads_at_the_same_time_and_the_next_is_told_to_wait(
    app: Flask, anonymous: FlaskClient, exported: str
) -> None:
    places = Places(Limits(1, 2, "downloads at the same time", "wait."))
    counted = {DOWNLOADS: places}
    open_one = anonymous.get(exported, environ_overrides=counted, buffered=False)
    refused = anonymous.get(exported, environ_overrides=counted)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    others = {**counted, "REMOTE_ADDR": "127.0.0.2"}
    other = app.test_client().get(exported, environ_overrides=others, buffered=False)
    full = anonymous.get(exported, environ_overrides={**counted, "REMOTE_ADDR": "127.0.0.3"})
    assert (full.status_code, full.headers["Retry-After"]) == (503, "30")
    for answer in (open_one, other):
        answer.close()
    assert places.taken == 0
    assert anonymous.get(exported, environ_overrides=counted, buffered=True).status_code == 200
    assert places.taken == 0
