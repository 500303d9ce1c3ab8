"""Pictures in other sizes and formats: made once, stored with the picture, and addressed like it."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image, ImageChops
from sqlalchemy import text

from imago_engine.artifacts import Artifact, ArtifactKind
from services.atlases.building import steps
from services.atlases.building.steps import JobCursor
from services.base.database import Database
from services.base.storage import ObjectStore
from services.pictures import renditions
from services.pictures.artifacts import put
from services.queue import batches
from services.queue.batches import Finished
from services.upkeep import collection
from tests.api.conftest import Start
from tests.api.small_catalog import NETWORK, job_body, with_key

pytestmark = pytest.mark.usefixtures("network")
TYPES = {"png": "image/png", "webp": "image/webp", "avif": "image/avif", "jpg": "image/jpeg"}


def drawn(width: int = 200, height: int = 160) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(file, "PNG")
    return file.getvalue()


def finish(database: Database, store: ObjectStore) -> None:
    """Do what a worker does, with pictures of 200 by 160."""
    image = put(store, Artifact(ArtifactKind.IMAGE, "image/png", drawn(), 200, 160))
    while True:
        with database.session() as session:
            claim = batches.claim(session, "tester", limit=64, lease_seconds=60)
        if claim is None:
            return
        results = [
            Finished(
                digest=work.digest,
                activation=1.0,
                score=1.0,
                predictions=None,
                artifacts=[image],
                crop_box=None,
                provenance={},
            )
            for work in claim.items
        ]
        with database.session() as session:
            batches.conclude(session, claim.lease_id, finished=results)


@pytest.fixture
def item(client: FlaskClient, database: Database, store: ObjectStore) -> Any:
    job = client.post("/v1/jobs", json=job_body("3")).get_json()
    finish(database, store)
    return client.get(job["links"]["visualizations"]).get_json()["data"][0]


def kinds(database: Database) -> Sequence[str]:
    with database.session() as session:
        return session.scalars(text("SELECT kind FROM artifacts ORDER BY kind")).all()


@pytest.mark.parametrize("format", TYPES)
@pytest.mark.parametrize(
    ("size", "shown"), [(64, (64, 51)), (128, (128, 102)), (256, (200, 160)), (None, (200, 160))]
)
def test_a_picture_comes_in_the_size_and_format_that_is_asked_for(
    client: FlaskClient, item: Any, format: str, size: int | None, shown: tuple[int, int]
) -> None:
    asked: dict[str, Any] = {"format": format, **({"size": size} if size else {})}
    answer = client.get(item["links"]["image"], query_string=asked)
    assert (answer.status_code, answer.mimetype) == (200, TYPES[format])
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    with Image.open(io.BytesIO(answer.data)) as image:
        assert image.size == shown
    by_name = client.get(f"{item['links']['image']}.{format}", query_string={"size": size} if size else {})
    assert (by_name.data, by_name.mimetype, by_name.headers["ETag"]) == (
        answer.data,
        answer.mimetype,
        answer.headers["ETag"],
    )


def test_each_is_made_once_and_nothing_is_made_of_what_is_there_already(
    client: FlaskClient, database: Database, item: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = item["links"]["image"]
    first = client.get(f"{path}?size=64&format=webp").data
    assert kinds(database) == ["image", "image.64.webp"]
    assert client.get(f"{path}?size=512").data == client.get(path).data
    client.get(f"{path}?size=256&format=jpg")
    client.get(f"{path}?size=512&format=jpg")
    assert kinds(database) == ["image", "image.64.webp", "image.full.jpg"]
    monkeypatch.setattr(renditions, "put", None)
    assert client.get(f"{path}?size=64&format=webp").data == first
    assert client.get(f"{path}?size=512&format=jpg").status_code == 200


def test_what_a_worker_made_with_the_picture_is_served(
    client: FlaskClient, database: Database, store: ObjectStore, item: Any
) -> None:
    with database.session() as session:
        session.execute(
            text("""
            INSERT INTO artifacts (digest, kind, object, media_type)
            SELECT digest, 'image.128.webp', object, 'image/webp' FROM artifacts
        """)
        )
    assert client.get(item["links"]["image"] + "?size=128&format=webp").data == drawn()


@pytest.mark.parametrize(
    "query", ["size=100", "size=0", "size=+64", "format=gif", "size=64&size=64", "facet=1"]
)
def test_what_is_not_offered_is_refused_and_makes_nothing(
    client: FlaskClient, database: Database, item: Any, query: str
) -> None:
    assert client.get(f"{item['links']['image']}?{query}").status_code == 422
    assert client.get(f"{item['links']['image']}.gif").status_code in (404, 422)
    assert client.get(f"/v1/networks/{NETWORK}/layers/output/units/3/image?version=1").status_code == 422
    assert kinds(database) == ["image"]


def test_renditions_are_collected_with_their_picture_and_not_before(
    client: FlaskClient, database: Database, item: Any
) -> None:
    client.get(item["links"]["image"] + "?size=64&format=webp")
    with database.session() as session:
        objects = session.scalars(text("SELECT object FROM artifacts")).all()
        assert collection.pointed_to(session, objects) == {*objects}
        session.execute(text("DELETE FROM artifacts"))
        assert collection.pointed_to(session, objects) == set()


def test_a_lost_rendition_is_forgotten_and_made_again_and_a_lost_picture_is_not(
    client: FlaskClient, database: Database, store: ObjectStore, item: Any
) -> None:
    small = item["links"]["image"] + "?size=64&format=webp"
    before = client.get(small).data
    with database.session() as session:
        objects = session.scalars(text("SELECT object FROM artifacts ORDER BY kind")).all()
    picture, rendition = objects
    store.delete(rendition)
    with database.session() as session:
        assert renditions.forget(session, item["digest"], objects) == {picture}
    assert kinds(database) == ["image"]
    assert client.get(small).data == before
    assert store.has(rendition)


def test_a_rendition_of_a_picture_that_was_replaced_meanwhile_is_not_listed(
    client: FlaskClient, database: Database, store: ObjectStore, item: Any
) -> None:
    before = put(store, Artifact(ArtifactKind.IMAGE, "image/png", drawn(100, 100), 100, 100))
    wanted = renditions.wanted(before, 64, "webp")
    assert wanted is not None
    made = renditions.put(store, Image.new("RGB", (100, 100)), wanted)
    with database.session() as session:
        assert renditions.add(session, item["digest"], before, made) == made
    assert kinds(database) == ["image"]


def test_too_many_at_once_are_told_to_come_again(
    start: Start, item: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.context import context
    from api.http import renditions as making

    app = start()
    monkeypatch.setattr(making, "_TURN_SECONDS", 0.01)
    for _ in range(2):
        context(app).renditions.acquire()
    busy = app.test_client().get(item["links"]["image"] + "?size=64")
    assert (busy.status_code, "Retry-After" in busy.headers) == (503, True)
    context(app).renditions.release()
    assert app.test_client().get(item["links"]["image"] + "?size=64").status_code == 200


def test_a_permalink_shows_a_facet_of_an_atlas_to_those_who_see_the_atlas(
    app: Flask, client: FlaskClient, anonymous: FlaskClient, database: Database, store: ObjectStore
) -> None:
    asked = {"network": NETWORK, "layers": ["output"], "units": "0-3", "facets": 2}
    atlas = client.post("/v1/atlases", json=asked).get_json()
    with database.session() as session:
        steps.step(session, atlas["id"], JobCursor())
        steps.step(session, atlas["id"], JobCursor())
    finish(database, store)
    units = client.get(f"{atlas['links']['self']}/versions/open/layers/output/units").get_json()["data"]
    path = f"/v1/networks/{NETWORK}/layers/output/units/3/image"
    for facet in (0, 1):
        found = client.get(path, query_string={"atlas": atlas["id"], "facet": facet})
        assert found.headers["Content-Location"] == units[3]["facets"][facet]["links"]["image"]
        assert found.headers["Cache-Control"] == "private, max-age=60"
    small = client.get(f"{path}.webp", query_string={"atlas": atlas["id"], "version": "open", "size": 64})
    assert (small.status_code, small.mimetype) == (200, "image/webp")
    for wrong in ({"facet": 2}, {"version": "2"}):
        assert client.get(path, query_string={"atlas": atlas["id"], **wrong}).status_code == 404
    elsewhere = path.replace("units/3", "units/9")
    assert client.get(elsewhere, query_string={"atlas": atlas["id"]}).status_code == 404
    assert client.get(path, query_string={"atlas": "atl_none"}).status_code == 404
    for stranger in (anonymous, with_key(app, database, "read")):
        assert stranger.get(path, query_string={"atlas": atlas["id"]}).status_code == 404


@pytest.mark.parametrize(("format", "most"), [("webp", 0), ("avif", 6), ("jpg", 6)])
def test_the_colours_of_a_small_picture_stay(
    client: FlaskClient, database: Database, store: ObjectStore, item: Any, format: str, most: int
) -> None:
    """Two neighbours of other colours would be one colour at half the resolution; what an earlier release
    stored that way is not served."""
    row = [(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 0, 255)]
    pixels = bytes(value for at in range(121) for value in row[(at + at // 11) % 4])
    small = Image.frombytes("RGB", (11, 11), pixels)
    file = io.BytesIO()
    small.save(file, "PNG")
    image = put(store, Artifact(ArtifactKind.IMAGE, "image/png", file.getvalue(), 11, 11))
    with database.session() as session:
        session.execute(
            text("UPDATE artifacts SET object = :object, width = 11, height = 11"), {"object": image.object}
        )
        session.execute(
            text("""
                INSERT INTO artifacts (digest, kind, object, media_type)
                SELECT digest, :kind, 'old', media_type FROM artifacts
            """),
            {"kind": f"image.full.{format}"},
        )
    answer = client.get(f"{item['links']['image']}.{format}", query_string={"size": 128})
    with Image.open(io.BytesIO(answer.data)) as shown:
        differences = ImageChops.difference(shown.convert("RGB"), small)
    assert max(differences.tobytes()) <= most
    assert f"image.small.{format}" in kinds(database)
