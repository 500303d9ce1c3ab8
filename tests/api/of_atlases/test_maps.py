"""Maps over HTTP: made by workers, then served as facts, as columns of points, as details of some units."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.queue import workers
from tests.api.small_catalog import LABELS, NETWORK, finish_all, with_key
from tests.integration.atlases.building import carry_out
from tests.integration.maps.mapped import Points, worker

LAYER = "blocks.0.1"


def make_maps(database: Database, store: ObjectStore, settings: Settings) -> None:
    """What a worker does."""
    drawer = worker(database, store, settings)
    while drawer.look():
        pass


def built(client: FlaskClient, database: Database, store: ObjectStore, **asked: object) -> str:
    """The path of an atlas of 12 units, all done."""
    body = {"network": NETWORK, "layers": ["conv_stem", LAYER], "units": "0-5", **asked}
    made = client.post("/v1/atlases", json=body).get_json()
    carry_out(database, made["id"])
    finish_all(database, store)
    return str(made["links"]["self"])


@pytest.fixture
def atlas(client: FlaskClient, database: Database, store: ObjectStore, network: str) -> str:
    return built(client, database, store, visibility="public")


def test_the_map_of_a_published_version_comes_by_itself(
    client: FlaskClient,
    anonymous: FlaskClient,
    atlas: str,
    database: Database,
    store: ObjectStore,
    settings: Settings,
) -> None:
    assert client.post(f"{atlas}/publish").status_code == 200
    coming = anonymous.get(f"{atlas}/versions/1/map")
    assert (coming.status_code, coming.get_json()["map"]) == (202, None)
    assert int(coming.headers["Retry-After"]) > 0
    assert anonymous.get(f"{atlas}/versions/1/map/points").status_code == 404
    make_maps(database, store, settings)
    there = anonymous.get(f"{atlas}/versions/latest/map")
    assert there.status_code == 200
    shown = there.get_json()
    assert (shown["version"], shown["current"], shown["coming"]) == (1, True, False)
    assert shown["map"]["units"] == shown["pictures"] == 12
    assert shown["map"]["layers"] == ["conv_stem", LAYER]
    assert {label["label"] for level in shown["map"]["labels"] for label in level} <= {*LABELS}


def test_where_no_worker_that_runs_draws_maps_it_says_what_is_missing(
    client: FlaskClient, anonymous: FlaskClient, atlas: str, database: Database
) -> None:
    assert client.post(f"{atlas}/publish").status_code == 200
    assert anonymous.get(f"{atlas}/versions/1/map").get_json()["problem"] is None, "no worker runs at all"
    with database.session() as session:
        workers.register(session, "w", host="here", device="cpu", draws_maps=False)
    waiting = anonymous.get(f"{atlas}/versions/1/map").get_json()
    assert (waiting["map"], waiting["coming"]) == (None, True)
    assert "pip install" in waiting["problem"]
    with database.session() as session:
        workers.register(session, "w2", host="here", device="cpu", draws_maps=True)
    assert anonymous.get(f"{atlas}/versions/1/map").get_json()["problem"] is None


def test_that_of_the_open_version_is_made_on_request_and_says_of_which_state_it_is(
    client: FlaskClient,
    anonymous: FlaskClient,
    atlas: str,
    database: Database,
    store: ObjectStore,
    settings: Settings,
) -> None:
    path = f"{atlas}/versions/open/map"
    assert anonymous.get(path).status_code == 200
    assert anonymous.get(path).get_json()["coming"] is False
    with database.session() as session:
        assert session.execute(text("SELECT count(*) FROM work WHERE kind = 'map'")).scalar_one() == 0
    assert anonymous.post(path).status_code == 401
    asked = client.post(path)
    assert (asked.status_code, asked.get_json()["coming"]) == (202, True)
    make_maps(database, store, settings)
    shown = client.get(path).get_json()
    assert (shown["published"], shown["current"], shown["map"]["pictures"]) == (False, True, 12)


def test_points_are_columns_that_may_be_kept_for_ever_by_their_name(
    client: FlaskClient,
    anonymous: FlaskClient,
    atlas: str,
    database: Database,
    store: ObjectStore,
    settings: Settings,
) -> None:
    client.post(f"{atlas}/publish")
    make_maps(database, store, settings)
    shown = anonymous.get(f"{atlas}/versions/1/map").get_json()
    answer = anonymous.get(shown["links"]["points"])
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert len(answer.data) == shown["map"]["bytes"] == 16 + 14 * 12
    points = Points.read(answer.data)
    assert {*zip(points.layers, points.units, strict=True)} == {
        (n, unit) for n in (0, 1) for unit in range(6)
    }
    again = anonymous.get(shown["links"]["points"], headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    unnamed = anonymous.get(f"{atlas}/versions/1/map/points")
    assert (unnamed.data, unnamed.headers["Cache-Control"]) == (answer.data, "public, max-age=3600")
    assert anonymous.get(f"{atlas}/versions/1/map/points?name={'0' * 64}").status_code == 404


def test_details_are_given_of_the_units_that_are_asked_for(
    client: FlaskClient,
    anonymous: FlaskClient,
    atlas: str,
    database: Database,
    store: ObjectStore,
    settings: Settings,
) -> None:
    client.post(f"{atlas}/publish")
    make_maps(database, store, settings)
    path = f"{atlas}/versions/1/map/units"
    found = anonymous.get(f"{path}?places=1:4,0:2,7:0,1:299").get_json()["data"]
    assert [(unit["layer"], unit["unit"], unit["label"]) for unit in found] == [
        (LAYER, 4, LABELS[4]),
        ("conv_stem", 2, LABELS[2]),
    ]
    assert found[0]["activation"] == 5.0
    assert anonymous.get(found[0]["links"]["image"]).status_code == 200
    assert anonymous.get(found[0]["links"]["unit"]).status_code == 200
    for wrong in ("", "x", "1", "1:", "1:2,", "-1:2", ",".join(["0:1"] * 201)):
        assert anonymous.get(path, query_string={"places": wrong}).status_code == 422, wrong
    assert (
        len(anonymous.get(path, query_string={"places": ",".join(["0:1"] * 200)}).get_json()["data"]) == 200
    )


def test_nobody_learns_of_the_map_of_a_private_atlas(
    app: Flask,
    client: FlaskClient,
    anonymous: FlaskClient,
    database: Database,
    store: ObjectStore,
    settings: Settings,
    network: str,
) -> None:
    atlas = built(client, database, store)
    assert client.post(f"{atlas}/versions/open/map").status_code == 202
    make_maps(database, store, settings)
    stranger = with_key(app, database, "read", "jobs:write")
    for part in ("map", "map/points", "map/units?places=0:1"):
        kept = client.get(f"{atlas}/versions/open/{part}")
        assert (kept.status_code, kept.headers["Cache-Control"]) == (200, "private, no-cache")
        for reader in (anonymous, stranger):
            assert reader.get(f"{atlas}/versions/open/{part}").status_code == 404
    assert stranger.post(f"{atlas}/versions/open/map").status_code == 404
