"""Atlases over HTTP: who sees them, what is answered, and what is refused."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from services.base.database import Database
from services.base.storage import ObjectStore
from tests.api.conftest import Start
from tests.api.small_catalog import NETWORK, finish_all, with_key
from tests.integration.atlases.building import carry_out

LAYER = "blocks.0.1"
LINES = {"Accept": "application/x-ndjson"}


def body(**asked: Any) -> dict[str, Any]:
    return {"network": NETWORK, "layers": [LAYER], "units": "0-19", **asked}


@pytest.fixture
def built(client: FlaskClient, database: Database, store: ObjectStore, network: str) -> dict[str, Any]:
    """A private atlas of 20 units, all done."""
    made: dict[str, Any] = client.post("/v1/atlases", json=body()).get_json()
    carry_out(database, made["id"])
    finish_all(database, store)
    return made


def test_an_atlas_is_accepted_at_once_and_made_by_and_by(
    client: FlaskClient, database: Database, store: ObjectStore, network: str
) -> None:
    made = client.post("/v1/atlases", json=body(name="Mine", facets=2))
    assert made.status_code == 202
    shown = made.get_json()
    assert made.headers["Location"] == shown["links"]["self"]
    assert (shown["state"], shown["name"], shown["visibility"]) == ("planning", "Mine", "private")
    assert shown["progress"]["pictures"]["total"] == 40
    carry_out(database, shown["id"])
    building = client.get(shown["links"]["self"]).get_json()
    assert (building["state"], building["progress"]["pictures"]["queued"]) == ("building", 40)
    finish_all(database, store)
    complete = client.get(shown["links"]["self"])
    assert complete.get_json()["state"] == "complete"
    assert "Retry-After" not in complete.headers
    (layer,) = client.get(shown["links"]["layers"]).get_json()["data"]
    assert (layer["layer"], layer["pictures"]["done"], layer["unit_count"]) == (LAYER, 40, 20)


def test_the_same_request_under_one_key_makes_one_atlas(client: FlaskClient, network: str) -> None:
    headers = {"Idempotency-Key": "night"}
    first = client.post("/v1/atlases", json=body(), headers=headers)
    again = client.post("/v1/atlases", json=body(), headers=headers)
    assert again.get_json()["id"] == first.get_json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    other = client.post("/v1/atlases", json=body(facets=3), headers=headers)
    assert other.status_code == 422
    assert first.get_json()["id"] in other.get_json()["detail"]


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"network": "none"}, "/network"),
        ({"layers": "nothing.*"}, "/layers"),
        ({"layers": ["none"]}, "/layers"),
        ({"units": "0-100000"}, "/units"),
        ({"facets": 17}, "/facets"),
        ({"facets": 0}, "/facets"),
        ({"candidates": 9}, "/candidates"),
        ({"generator": "none"}, "/generator"),
        ({"recipe": {"technique": "magic"}}, "/recipe/technique"),
        ({"visibility": "secret"}, "/visibility"),
        ({"name": " \u2028"}, "/name"),
        ({"name": "turned \u202e around"}, "/name"),
        ({"name": "not\u200bseen"}, "/name"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_a_wrong_request_names_the_field_and_writes_nothing(
    client: FlaskClient, database: Database, network: str, asked: dict[str, Any], pointer: str
) -> None:
    for path in ("/v1/atlases", "/v1/atlases:estimate"):
        refused = client.post(path, json=body(**asked))
        assert refused.status_code == 422, refused.get_json()
        assert pointer in [error["pointer"] for error in refused.get_json()["errors"]]
    with database.session() as session:
        assert session.execute(text("SELECT count(*) FROM atlases")).scalar_one() == 0
        assert session.execute(text("SELECT count(*) FROM work")).scalar_one() == 0


def test_a_private_atlas_is_not_there_for_others(
    app: Flask, database: Database, anonymous: FlaskClient, client: FlaskClient, built: dict[str, Any]
) -> None:
    other, admin = with_key(app, database, "read", "jobs:write"), with_key(app, database, "admin")
    path = built["links"]["self"]
    reads = ["", "/layers", "/versions", "/versions/latest", "/versions/open/layers/blocks.0.1/units"]
    writes = ["pause", "cancel", "resume", "retry", "publish"]
    for stranger in (other, anonymous):
        for below in reads:
            assert stranger.get(f"{path}{below}").status_code == 404
        assert stranger.get(f"{path}/versions/open/layers/blocks.0.1/units", headers=LINES).status_code == 404
        assert stranger.get("/v1/atlases").get_json()["data"] == []
        assert stranger.get(f"/v1/jobs?atlas={built['id']}").status_code == 404
    for act in writes:
        assert other.post(f"{path}/{act}").status_code == 404
    assert other.delete(path).status_code == 404
    for below in reads:
        assert [one.get(f"{path}{below}").status_code for one in (client, admin)] == [200, 200]
    assert client.post(f"{path}/change", json={"visibility": "public"}).status_code == 200
    assert anonymous.get(path).status_code == 200
    assert [one["id"] for one in other.get("/v1/atlases").get_json()["data"]] == [built["id"]]
    for act in writes:
        assert other.post(f"{path}/{act}").status_code == 403
    assert "private" in client.get(path).headers["Cache-Control"]


def test_the_jobs_of_a_private_atlas_are_not_there_for_others(
    app: Flask, database: Database, anonymous: FlaskClient, client: FlaskClient, built: dict[str, Any]
) -> None:
    other, admin = with_key(app, database, "read", "jobs:write"), with_key(app, database, "admin")
    (job, *_) = client.get(f"/v1/jobs?atlas={built['id']}").get_json()["data"]
    reads = (f"/v1/jobs/{job['id']}", f"/v1/jobs/{job['id']}/visualizations", f"/jobs/{job['id']}")
    for path in reads:
        assert [one.get(path).status_code for one in (client, admin)] == [200, 200]
        assert [one.get(path).status_code for one in (other, anonymous)] == [404, 404]
    for act in ("cancel", "retry"):
        assert other.post(f"/v1/jobs/{job['id']}/{act}").status_code == 404
        assert client.post(f"/v1/jobs/{job['id']}/{act}").status_code == 409
    assert other.delete(f"/v1/jobs/{job['id']}").status_code == 404
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 409
    client.post(f"{built['links']['self']}/change", json={"visibility": "public"})
    for path in reads:
        assert [one.get(path).status_code for one in (other, anonymous)] == [200, 200]
    assert other.post(f"/v1/jobs/{job['id']}/cancel").status_code == 403


def test_latest_says_which_version_it_is(client: FlaskClient, built: dict[str, Any]) -> None:
    path = built["links"]["self"]
    units = f"{path}/versions/latest/layers/blocks.0.1/units"
    assert (client.get(units).get_json()["version"], client.get(units).get_json()["published"]) == (1, False)
    published = client.post(f"{path}/publish")
    assert published.status_code == 200
    assert published.get_json()["layers"][0]["pictures"] == 20
    assert (client.get(units).get_json()["version"], client.get(units).get_json()["published"]) == (1, True)
    assert client.get(f"{path}/versions/latest").get_json() == published.get_json()
    assert [one["number"] for one in client.get(f"{path}/versions").get_json()["data"]] == [2, 1]
    assert client.post(f"{path}/publish").status_code == 409
    for none in ("7", "32768", "99999"):
        assert client.get(f"{path}/versions/{none}").status_code == 404
    refused = client.get(f"{path}/versions/first")
    assert refused.status_code == 422
    (error,) = refused.get_json()["errors"]
    assert (error["in"], error["pointer"]) == ("path", "/version")


def test_units_are_listed_in_pages_and_all_at_once_as_lines(
    client: FlaskClient, built: dict[str, Any]
) -> None:
    path = f"{built['links']['self']}/versions/open/layers/blocks.0.1/units"
    seen: list[Any] = []
    following: str | None = f"{path}?limit=7"
    while following:
        page = client.get(following)
        seen += page.get_json()["data"]
        cursor = page.get_json()["next_cursor"]
        following = f"{path}?limit=7&cursor={cursor}" if cursor else None
    assert [unit["unit"] for unit in seen] == [*range(20)]
    assert client.get(seen[0]["facets"][0]["links"]["image"]).status_code == 200
    lines = client.get(path, headers=LINES)
    assert lines.mimetype == "application/x-ndjson"
    assert [json.loads(line) for line in lines.get_data(as_text=True).splitlines()] == seen
    cursor = client.get(f"{path}?limit=7").get_json()["next_cursor"]
    rest = client.get(f"{path}?cursor={cursor}", headers=LINES).get_data(as_text=True)
    assert len(rest.splitlines()) == 13
    both = client.get(path, headers={"Accept": "application/json, application/x-ndjson;q=0.5"})
    assert both.mimetype == "application/json"
    assert client.get(path, headers={"Accept": "text/html"}).status_code == 406


def test_an_estimate_makes_nothing_and_knows_what_is_known(
    anonymous: FlaskClient, client: FlaskClient, built: dict[str, Any]
) -> None:
    found = client.post("/v1/atlases:estimate", json=body(units="0-39")).get_json()
    assert (found["pictures"], found["cached"], found["cached_is"]) == (40, 20, "exact")
    assert (found["layers"][0]["layer"], found["layers"][0]["cached"]) == (LAYER, 20)
    assert found["bytes"] > 0
    three = client.post("/v1/atlases:estimate", json=body(units="0-39", candidates=3)).get_json()
    assert (three["pictures"], three["cached"], three["bytes"] > found["bytes"]) == (120, 20, True)
    assert (found["seconds"], found["room"], found["fits"]) == (None, None, True)
    assert anonymous.post("/v1/atlases:estimate", json=body()).status_code == 200
    assert len(client.get("/v1/atlases").get_json()["data"]) == 1


def test_what_plainly_does_not_fit_into_the_store_is_refused(
    start: Start, database: Database, built: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    app = start(store_folder="/")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 5, 5))
    client = with_key(app, database, "read", "jobs:write")
    assert client.post("/v1/atlases:estimate", json=body(units="0-39")).get_json()["fits"] is False
    refused = client.post("/v1/atlases", json=body(units="0-39"))
    assert (refused.status_code, "room for 5 bytes" in refused.get_json()["detail"]) == (409, True)
    assert client.post("/v1/atlases", json=body()).status_code == 202  # all of it is known


def test_an_estimate_of_an_extension_tells_what_it_adds_and_makes_nothing(
    app: Flask, database: Database, client: FlaskClient, anonymous: FlaskClient, built: dict[str, Any]
) -> None:
    path = built["links"]["self"]
    before = client.get(path).get_json()["request"]
    asked = {"units": "0-24", "facets": 2}
    found = client.post(f"{path}/extend:estimate", json=asked).get_json()
    assert (found["pictures"], found["cached"], found["layers"][0]["unit_count"]) == (30, 0, 25)
    assert (found["bytes"] > 0, found["fits"]) == (True, True)
    new_layer = client.post(f"{path}/extend:estimate", json={"layers": "output", "units": "0-3"}).get_json()
    assert [(layer["layer"], layer["pictures"]) for layer in new_layer["layers"]] == [("classifier", 4)]
    there = client.post(f"{path}/extend:estimate", json={"units": "0-3"}).get_json()
    assert (there["layers"], there["pictures"], there["bytes"]) == ([], 0, 0)
    assert client.get(path).get_json()["request"] == before
    assert client.post(f"{path}/extend:estimate", json={}).status_code == 422
    assert anonymous.post(f"{path}/extend:estimate", json=asked).status_code == 404
    assert client.post(f"{path}/extend", json=asked).get_json()["progress"]["pictures"]["total"] == 50


def test_an_extension_that_plainly_does_not_fit_into_the_store_is_refused_and_changes_nothing(
    start: Start, database: Database, built: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    app = start(store_folder="/")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 5, 5))
    client, path = with_key(app, database, "admin"), built["links"]["self"]
    before = client.get(path).get_json()
    assert client.post(f"{path}/extend:estimate", json={"facets": 2}).get_json()["fits"] is False
    refused = client.post(f"{path}/extend", json={"facets": 2})
    assert (refused.status_code, "room for 5 bytes" in refused.get_json()["detail"]) == (409, True)
    assert client.get(path).get_json() == before
    assert client.post(f"{path}/extend", json={"units": "0-3"}).status_code == 200  # it has them


def test_a_request_that_was_accepted_is_replayed_where_there_is_no_room_any_more(
    start: Start, database: Database, built: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    app = start(store_folder="/")
    client = with_key(app, database, "read", "jobs:write")
    once = {"Idempotency-Key": "night"}
    made = client.post("/v1/atlases", json=body(units="0-39"), headers=once)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 5, 5))
    again = client.post("/v1/atlases", json=body(units="0-39"), headers=once)
    assert (made.status_code, again.status_code) == (202, 202)
    assert again.get_json()["id"] == made.get_json()["id"]


def test_an_atlas_is_paused_at_once_and_resumed(
    client: FlaskClient, database: Database, store: ObjectStore, network: str
) -> None:
    made = client.post("/v1/atlases", json=body()).get_json()
    carry_out(database, made["id"])
    path = made["links"]["self"]
    paused = client.post(f"{path}/pause").get_json()
    assert (paused["state"], paused["progress"]["pictures"]["canceled"]) == ("paused", 20)
    assert client.post(f"{path}/resume").status_code == 202
    carry_out(database, made["id"])
    finish_all(database, store)
    assert client.get(path).get_json()["state"] == "complete"
    for action in ("pause", "cancel"):
        assert client.post(f"{path}/{action}").status_code == 409
    assert client.get(path).get_json()["state"] == "complete"
    assert client.post(f"{path}/extend", json={"facets": 2}).status_code == 202
    assert client.get(path).get_json()["state"] == "planning"
    assert client.post(f"{path}/cancel").get_json()["state"] == "canceled"


def test_a_removed_atlas_is_gone_and_its_pictures_are_not(
    app: Flask, database: Database, client: FlaskClient, built: dict[str, Any]
) -> None:
    units = client.get(f"{built['links']['self']}/versions/open/layers/blocks.0.1/units").get_json()["data"]
    admin = with_key(app, database, "admin")
    assert admin.delete(f"/v1/networks/{NETWORK}").status_code == 409
    assert client.delete(built["links"]["self"]).status_code == 204
    assert client.get(built["links"]["self"]).status_code == 404
    assert client.get(units[0]["facets"][0]["links"]["image"]).status_code == 200


def test_what_an_atlas_is_made_of_is_kept(
    app: Flask, database: Database, client: FlaskClient, network: str
) -> None:
    made = client.post("/v1/atlases", json=body()).get_json()
    admin = with_key(app, database, "admin")
    refused = admin.delete(f"/v1/networks/{NETWORK}")
    assert (refused.status_code, made["id"] in refused.get_json()["detail"]) == (409, True)
    assert client.delete(made["links"]["self"]).status_code == 204
    assert admin.delete(f"/v1/networks/{NETWORK}").status_code == 204


def test_atlases_are_listed_by_network_owner_and_name(client: FlaskClient, network: str) -> None:
    ids = [client.post("/v1/atlases", json=body(name=name)).get_json()["id"] for name in ("a", "b", "c")]
    assert [one["id"] for one in client.get("/v1/atlases").get_json()["data"]] == ids[::-1]
    assert [one["id"] for one in client.get("/v1/atlases?name=b").get_json()["data"]] == [ids[1]]
    owner = client.get("/v1/atlases").get_json()["data"][0]["owner"]
    assert len(client.get(f"/v1/atlases?owner={owner}&network={NETWORK}").get_json()["data"]) == 3
    assert client.get("/v1/atlases?network=none").get_json()["data"] == []
    page = client.get("/v1/atlases?limit=2").get_json()
    rest = client.get(f"/v1/atlases?limit=2&cursor={page['next_cursor']}").get_json()
    assert [one["id"] for one in (*page["data"], *rest["data"])] == ids[::-1]
