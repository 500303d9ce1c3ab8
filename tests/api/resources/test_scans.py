"""Scans and exemplars over HTTP: what is accepted, refused, shown."""

import base64
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.streams.subjects import KINDS
from services.base.database import Database
from services.base.object_keys import crops_key
from services.base.storage import ObjectStore
from services.exemplars import working
from services.search import excitations
from tests.api.conftest import Start
from tests.api.small_catalog import NETWORK, finish_all, job_body, row_counts, with_key
from tests.found_exemplars import CROPS, claim, find_exemplars, waits_for

UNIT = f"/v1/networks/{NETWORK}/layers/classifier/units/3"

pytestmark = pytest.mark.usefixtures("network")


def body(**asked: Any) -> dict[str, Any]:
    return {"network": NETWORK, "sources": ["birds", "more/birds.tar"], "layers": "output", **asked}


def scanned(client: FlaskClient, database: Database, store: ObjectStore, **asked: Any) -> str:
    """A scan that has found two pictures of each of the classifier's ten units; returns its id."""
    id: str = client.post("/v1/scans", json=body(**asked)).get_json()["id"]
    find_exemplars(database, store, "classifier", range(10))
    return id


def test_a_scan_is_accepted_and_shown_as_it_stands(client: FlaskClient, database: Database) -> None:
    answer = client.post("/v1/scans", json=body())
    shown = answer.get_json()
    assert (answer.status_code, shown["state"]) == (202, "queued")
    assert answer.headers["Location"] == shown["links"]["self"] == f"/v1/scans/{shown['id']}"
    assert client.get(answer.headers["Location"]).get_json() == shown
    assert (shown["layers"], shown["input_size"]) == (["classifier"], 32)
    assert shown["progress"]["pictures"] == 0
    for query, count in ((f"network={NETWORK}", 1), ("state=queued", 1), ("state=failed", 0)):
        assert len(client.get(f"/v1/scans?{query}").get_json()["data"]) == count
    assert client.get("/v1/scans?network=unknown").status_code == 404
    claim(database)
    assert client.get(answer.headers["Location"]).get_json()["state"] == "running"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"sources": ["../etc"]}, "/sources/0"),
        ({"sources": ["/etc"]}, "/sources/0"),
        ({"sources": []}, "/sources"),
        ({"layers": "nowhere"}, "/layers"),
        ({"network": "unknown"}, "/network"),
        ({"exemplars": 0}, "/exemplars"),
        ({"exemplars": 37}, "/exemplars"),
        ({"input_size": 8}, "/input_size"),
        ({"layer": "output"}, "/layer"),
    ],
)
def test_what_cannot_be_scanned_is_refused_with_the_field_and_writes_nothing(
    client: FlaskClient, database: Database, changes: dict[str, Any], pointer: str
) -> None:
    before = row_counts(database)
    answer = client.post("/v1/scans", json=body(**changes))
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]
    assert row_counts(database) == before


def test_the_same_request_under_the_same_key_is_the_same_scan(client: FlaskClient) -> None:
    headers = {"Idempotency-Key": "photographs"}
    first = client.post("/v1/scans", json=body(), headers=headers)
    again = client.post("/v1/scans", json=body(), headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.get_json()["id"] == again.get_json()["id"]
    assert client.post("/v1/scans", json=body(exemplars=3), headers=headers).status_code == 422


def test_a_scan_is_canceled_and_removed_by_its_owner(
    app: Flask, client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    path = client.post("/v1/scans", json=body()).headers["Location"]
    other = with_key(app, database, "read", "jobs:write")
    assert other.post(f"{path}/cancel").status_code == 403
    assert client.delete(path).status_code == 409
    assert client.post(f"{path}/cancel").get_json()["state"] == "canceled"
    assert client.post(f"{path}/cancel").status_code == 200
    assert other.delete(path).status_code == 403
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    done = scanned(client, database, store)
    assert client.post(f"/v1/scans/{done}/cancel").status_code == 409


def test_a_scan_that_waits_says_why_and_its_events_tell_it(client: FlaskClient, database: Database) -> None:
    path = client.post("/v1/scans", json=body()).headers["Location"]
    task = claim(database)
    with database.session() as session:
        working.save(session, task, {"phase": "looking", "pictures": 7, "rate": 2.0})
    assert client.get(path).get_json()["progress"]["phase"] == "looking"
    waits_for(database, task, "The disk is full.")
    shown = client.get(path).get_json()
    assert (shown["state"], shown["error"]) == (
        "running",
        {"code": "internal", "message": "The disk is full."},
    )
    assert (shown["progress"]["phase"], shown["progress"]["pictures"]) == (None, 7)
    with database.session() as session:
        told = KINDS["scan"].read(session, [shown["id"]])[shown["id"]]
    assert (told.state["error"], told.ended) == (shown["error"], False)
    page = client.get(f"/networks/{NETWORK}", headers={"Accept": "text/html"}).text
    assert "The disk is full." in page


def test_a_unit_shows_its_exemplars_and_their_crops(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    assert client.get(f"{UNIT}/exemplars").status_code == 404
    assert client.get(UNIT).get_json()["statistics"] is None
    id = scanned(client, database, store)
    shown = client.get(f"{UNIT}/exemplars").get_json()
    assert [(each["rank"], each["activation"], each["picture"]) for each in shown["exemplars"]] == [
        (0, 20.0, "birds/0.jpg"),
        (1, 19.0, "birds/1.jpg"),
    ]
    assert shown["exemplars"][0]["box"] == [0, 1, 16, 17]
    statistics = shown["statistics"]
    assert (statistics["scan"], statistics["pictures"], statistics["non_zero"]) == (id, 50, 0.5)
    assert statistics["usual_place"] == statistics["strongest_place"]
    assert statistics["strongest_place"][-1] == {"share": 1.0, "activation": 20.0}
    for each, data in zip(shown["exemplars"], CROPS, strict=True):
        crop = client.get(each["links"]["image"])
        assert (crop.status_code, crop.mimetype, crop.data) == (200, "image/webp", data)
        held = client.get(each["links"]["image"], headers={"If-None-Match": crop.headers["ETag"]})
        assert held.status_code == 304
    assert client.get(f"{UNIT}/exemplars/2/image").status_code == 404
    assert client.get(f"{UNIT}/exemplars?scan={id}").get_json()["exemplars"]
    assert client.get(f"{UNIT}/exemplars?scan=scn_other").status_code == 404
    unit = client.get(UNIT).get_json()
    assert unit["statistics"] == statistics
    assert unit["links"]["exemplars"] == f"{UNIT}/exemplars"


def test_a_picture_says_where_it_stands_among_real_ones(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    client.post("/v1/jobs", json=job_body("3"))
    smaller = {"technique": "dgn-am", "parameters": {"input_size": 16}}
    client.post("/v1/jobs", json=job_body("3", recipe=smaller))
    finish_all(database, store)  # an activation of 4
    scanned(client, database, store)
    pictures = client.get(UNIT).get_json()["visualizations"]
    assert len(pictures) == 2
    for picture in pictures:
        detail = client.get(f"/v1/visualizations/{picture['digest']}").get_json()
        same_size = detail["recipe"]["parameters"]["input_size"] is None
        expected = pytest.approx(20, abs=0.1) if same_size else None
        assert picture["percentile"] == detail["percentile"] == expected


def test_units_that_a_photograph_excites_less_than_any_real_picture_stand_at_0_and_are_found(
    client: FlaskClient, database: Database
) -> None:
    photograph = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    body = {"network": NETWORK, "layer": "output", "photograph": photograph}
    asked = client.post("/v1/search/excitations", json=body).get_json()["links"]["self"]
    excited = [
        {"unit": unit, "activation": 1.0, "percentile": at} for unit, at in enumerate((0.0, 50.0, None))
    ]
    with database.session() as session:
        taken = excitations.claim(session, "tester", lease_seconds=60)
        assert taken is not None
        assert excitations.finish(session, taken, {"excited": excited, "alike": []})
    for least, units in ((None, [0, 1, 2]), (0, [0, 1]), (50, [1])):
        found = client.get(asked, query_string={} if least is None else {"min_percentile": least}).get_json()
        assert [unit["unit"] for unit in found["excited"]] == units


def test_crops_that_are_lost_are_said_to_be(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    scanned(client, database, store)
    store.delete(crops_key(b"".join(CROPS)))
    lost = client.get(f"{UNIT}/exemplars/0/image")
    assert lost.status_code == 404
    assert lost.get_json()["type"].endswith("object-lost")


def test_crops_are_served_by_the_api_also_where_pictures_are_redirected_to(
    start: Start, client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    scanned(client, database, store)
    redirecting = with_key(start(image_delivery="redirect"), database, "read")
    assert redirecting.get(f"{UNIT}/exemplars/1/image").data == CROPS[1]
