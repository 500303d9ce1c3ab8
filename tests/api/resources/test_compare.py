"""Comparisons over HTTP: accepted, made by a worker, then read in pages and as a picture."""

import io
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.comparison.comparisons import MOST_WAITING
from services.comparison.making import COMPARE
from services.queue import chores
from tests.api.small_catalog import NETWORK, finish_all, with_key
from tests.integration.atlases.building import carry_out
from worker.comparison.comparison_turn import Comparing
from worker.leasing.held_leases import HeldLeases
from worker.process.stopping import StopFlag

LAYER = "blocks.0.1"


def compare(database: Database, store: ObjectStore, settings: Settings) -> None:
    """What a worker does."""
    stop = StopFlag()
    worker = Comparing(HeldLeases(database, settings, "tester", stop), store, stop, alternating=False)
    while worker.look():
        pass


def build(client: FlaskClient, database: Database, store: ObjectStore, **asked: Any) -> str:
    """The id of an atlas of 12 units, all done and published."""
    body = {"network": NETWORK, "layers": [LAYER], "units": "0-11", "visibility": "public", **asked}
    made = client.post("/v1/atlases", json=body).get_json()
    carry_out(database, made["id"])
    finish_all(database, store)
    assert client.post(f"{made['links']['self']}/publish").status_code == 200
    return str(made["id"])


@pytest.fixture
def asked(client: FlaskClient, database: Database, store: ObjectStore, network: str) -> dict[str, str]:
    """Two recipes of one network."""
    first = build(client, database, store)
    second = build(client, database, store, recipe={"parameters": {"steps": 7}})
    return {"a": first, "b": f"{second}@1"}


def test_what_changed_is_accepted_and_there_once_a_worker_compared_it(
    anonymous: FlaskClient, asked: dict[str, str], database: Database, store: ObjectStore, settings: Settings
) -> None:
    accepted = anonymous.get("/v1/compare", query_string=asked)
    assert (accepted.status_code, accepted.headers["Retry-After"]) == (202, "2")
    assert accepted.get_json()["made_at"] is None
    of_layer = {**asked, "layer": LAYER}
    early = anonymous.get("/v1/compare/units", query_string=of_layer).get_json()
    assert (early["data"], early["complete"]) == ([], False)
    assert anonymous.get("/v1/compare/sheet.jpg", query_string=of_layer).status_code == 404
    compare(database, store, settings)
    answer = anonymous.get("/v1/compare", query_string=asked)
    assert answer.status_code == 200
    found = answer.get_json()
    assert found["current"]
    assert found["a"]["version"] == 1
    assert found["links"]["self"] == f"/v1/compare?a={asked['a']}%401&b={asked['b'].replace('@', '%40')}"
    (layer,) = found["layers"]
    assert layer["figures"]["matched"] == 12
    assert layer["figures"]["labels"] == {"units": 12, "same": 12, "share": 1.0}
    assert layer["figures"]["activation"]["difference"] == 0
    first = anonymous.get(layer["links"]["units"] + "&limit=7").get_json()
    rest = anonymous.get(f"{layer['links']['units']}&cursor={first['next_cursor']}").get_json()
    units = [*first["data"], *rest["data"]]
    assert sorted(unit["unit"] for unit in units) == list(range(12))
    distances = [unit["distance"] for unit in units]
    assert distances == sorted(distances, reverse=True)
    for side in ("a", "b"):
        image = anonymous.get(units[0][side]["links"]["image"])
        assert image.status_code == 200
        assert units[0][side]["label"]
    picture = anonymous.get(layer["links"]["sheet"])
    assert picture.mimetype == "image/jpeg"
    assert Image.open(io.BytesIO(picture.data)).width == 4 * 268 - 12
    assert "max-age=3600" in picture.headers["Cache-Control"]


def test_where_too_many_comparisons_wait_a_reader_is_told_to_come_again(
    anonymous: FlaskClient, asked: dict[str, str], database: Database
) -> None:
    with database.session() as session:
        for number in range(MOST_WAITING):
            chores.plan(session, COMPARE, str(10_000 + number))
    of_layer = {**asked, "layer": LAYER}
    for path, query in (
        ("/v1/compare", asked),
        ("/v1/compare/units", of_layer),
        ("/v1/compare/sheet.jpg", of_layer),
        ("/compare", asked),
    ):
        answer = anonymous.get(path, query_string=query)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "queue of comparisons is full" in answer.text


def test_wrong_names_are_told_by_field_and_private_atlases_are_not_there(
    client: FlaskClient, app: Flask, database: Database, store: ObjectStore, network: str
) -> None:
    public = build(client, database, store)
    private = build(client, database, store, visibility="private", recipe={"parameters": {"steps": 7}})
    stranger = with_key(app, database, "read")
    pair = {"a": public, "b": private}
    assert client.get("/v1/compare", query_string=pair).status_code == 202
    for part in ("", "/units", "/sheet.jpg"):
        query = {**pair, "layer": LAYER} if part else pair
        assert stranger.get(f"/v1/compare{part}", query_string=query).status_code == 404
    wrong = client.get("/v1/compare", query_string={"a": public, "b": f"{private}@x"})
    assert wrong.status_code in (400, 422)
    assert wrong.get_json()["errors"][0]["pointer"] == "/b"
    same = client.get("/v1/compare", query_string={"a": public, "b": f"{public}@1"})
    assert same.get_json()["errors"][0]["pointer"] == "/b"
    assert client.get("/v1/compare/units", query_string={**pair, "layer": "nothing"}).status_code == 404
