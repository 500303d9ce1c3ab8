import hashlib
from typing import Any

import pytest
from flask.testing import FlaskClient

from services.base.database import Database
from services.base.storage import ObjectStore
from services.queue import batches
from tests.api.conftest import Start
from tests.api.small_catalog import NETWORK, finish_all, job_body, png, with_key

pytestmark = pytest.mark.usefixtures("network")


@pytest.fixture
def item(client: FlaskClient, database: Database, store: ObjectStore) -> Any:
    """A finished visualization, as a job's list shows it."""
    return submitted(client, database, store)


def submitted(client: FlaskClient, database: Database, store: ObjectStore, **how: bool) -> Any:
    job = client.post("/v1/jobs", json=job_body("3")).get_json()
    finish_all(database, store, **how)
    return client.get(job["links"]["visualizations"]).get_json()["data"][0]


def test_a_picture_is_served_for_good_under_its_digest(client: FlaskClient, item: Any) -> None:
    answer = client.get(item["links"]["image"])
    assert answer.status_code == 200
    assert answer.mimetype == "image/png"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.data).hexdigest()}"'
    assert answer.content_length == len(answer.data)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_head_tells_the_size_without_the_bytes(client: FlaskClient, item: Any) -> None:
    full = client.get(item["links"]["image"])
    head = client.head(item["links"]["image"])
    assert head.status_code == 200
    assert head.data == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control"):
        assert head.headers[name] == full.headers[name]


def test_a_picture_that_the_client_has_is_not_sent_again_nor_fetched(
    start: Start, client: FlaskClient, item: Any
) -> None:
    etag = client.get(item["links"]["image"]).headers["ETag"]
    storeless = start(s3_endpoint_url="http://127.0.0.1:1").test_client()
    answer = storeless.get(item["links"]["image"], headers={"If-None-Match": etag})
    assert answer.status_code == 304
    assert answer.data == b""
    assert answer.headers["ETag"] == etag
    assert "immutable" in answer.headers["Cache-Control"]


def test_a_picture_whose_store_is_away_is_a_503_that_says_when_to_come_again(start: Start, item: Any) -> None:
    answer = start(s3_endpoint_url="http://127.0.0.1:1").test_client().get(item["links"]["image"])
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Cache-Control"] == "no-store"


def test_pictures_can_be_delivered_by_redirect(start: Start, client: FlaskClient, item: Any) -> None:
    public = "https://pictures.example.org"
    redirecting = start(image_delivery="redirect", s3_public_endpoint_url=public).test_client()
    answer = redirecting.get(item["links"]["image"])
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(public + "/")
    assert "X-Amz-Signature" in answer.headers["Location"]
    # The redirect must not be remembered for longer than the address is good.
    assert answer.headers["Cache-Control"] == "private, max-age=300"
    assert answer.data == b""


def test_the_crop_is_what_the_unit_sees_and_the_whole_where_it_sees_all(
    client: FlaskClient, database: Database, store: ObjectStore, item: Any
) -> None:
    whole = client.get(item["links"]["image"])
    assert client.get(item["links"]["image"] + "?view=crop").data == whole.data
    job = client.post("/v1/jobs", json=job_body("0", layer="conv_stem")).get_json()
    finish_all(database, store, crop=True)
    (cropped,) = client.get(job["links"]["visualizations"]).get_json()["data"]
    crop = client.get(cropped["links"]["image"] + "?view=crop")
    assert crop.data == png(7)
    assert crop.headers["ETag"] != client.get(cropped["links"]["image"]).headers["ETag"]
    detail = client.get(cropped["links"]["self"]).get_json()
    assert detail["crop_box"] == [0, 0, 1, 1]
    assert client.get(detail["links"]["crop"]).data == crop.data


def test_a_visualization_tells_all_that_its_digest_stands_for(client: FlaskClient, item: Any) -> None:
    detail = client.get(item["links"]["self"]).get_json()
    of_the_list = ("links", "best")
    assert {name: detail[name] for name in item if name not in of_the_list} == {
        name: value for name, value in item.items() if name not in of_the_list
    }
    assert (detail["network_sha256"], detail["generator_sha256"]) == ("a" * 64, "b" * 64)
    assert detail["recipe"]["parameters"]["steps"] == 20  # as the generator recommends
    assert detail["predictions"] == [
        {"index": 3, "label": "class 3", "probability": 0.75},
        {"index": 0, "label": "class 0", "probability": 0.25},
    ]
    picture = client.get(detail["links"]["image"])
    assert detail["image"] == {
        "width": 2,
        "height": 2,
        "bytes": len(picture.data),
        "sha256": hashlib.sha256(picture.data).hexdigest(),
    }
    assert client.get(detail["links"]["code"]).data == b"code of " + item["digest"].encode()
    assert client.get(detail["links"]["trace"]).data == b"trace of " + item["digest"].encode()
    for name in ("network", "layer", "unit"):
        assert client.get(detail["links"][name]).status_code == 200


def test_an_unchanged_representation_is_not_sent_again(client: FlaskClient, item: Any) -> None:
    for path in (item["links"]["self"], "/v1/jobs", f"/v1/networks/{NETWORK}", "/openapi.json"):
        first = client.get(path)
        assert not first.headers["ETag"].startswith("W/")
        again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        other = client.get(path, headers={"If-None-Match": '"another"'})
        assert other.status_code == 200


def test_the_picture_of_a_unit_is_its_best_and_is_kept_briefly(client: FlaskClient, item: Any) -> None:
    answer = client.get(f"/v1/networks/{NETWORK}/layers/output/units/3/image")
    assert answer.data == client.get(item["links"]["image"]).data
    assert answer.headers["Content-Location"] == item["links"]["image"]
    assert answer.headers["Cache-Control"] == "public, max-age=60"


def test_a_picture_that_is_on_its_way_is_a_404_that_says_when_to_come_again(
    client: FlaskClient, database: Database
) -> None:
    job = client.post("/v1/jobs", json=job_body("4")).get_json()
    (item,) = client.get(job["links"]["visualizations"]).get_json()["data"]
    assert item["links"]["image"] is None
    for state in ("queued", "leased"):
        answer = client.get(item["links"]["self"] + "/image")
        assert answer.status_code == 404
        assert answer.get_json()["type"] == "/docs#problem-no-picture"
        assert answer.get_json()["state"] == state
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Cache-Control"] == "no-store"
        with database.session() as session:
            batches.claim(session, "tester", limit=1, lease_seconds=60)
    unit = client.get(f"/v1/networks/{NETWORK}/layers/output/units/4/image")
    assert unit.status_code == 404
    assert "on its way" in unit.get_json()["detail"]
    assert int(unit.headers["Retry-After"]) > 0


def test_an_unreachable_unit_is_explained(client: FlaskClient, database: Database) -> None:
    job = client.post("/v1/jobs", json=job_body("5")).get_json()
    with database.session() as session:
        claim = batches.claim(session, "tester", limit=1, lease_seconds=60)
        assert claim is not None
        batches.conclude(session, claim.lease_id, unreachable=[(claim.items[0].digest, {})])
    (item,) = client.get(job["links"]["visualizations"]).get_json()["data"]
    answer = client.get(item["links"]["self"] + "/image")
    assert answer.status_code == 404
    assert answer.get_json()["state"] == "unreachable"
    assert "nothing that is done to a picture moves this unit" in answer.get_json()["detail"]
    assert "Retry-After" not in answer.headers


def test_a_unit_that_nobody_asked_for_says_how_to_ask(client: FlaskClient) -> None:
    answer = client.get(f"/v1/networks/{NETWORK}/layers/output/units/9/image")
    assert answer.status_code == 404
    assert "POST /v1/jobs" in answer.get_json()["detail"]


def test_visualizations_are_searched_by_unit_and_state(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    client.post("/v1/jobs", json=job_body("0-4"))
    finish_all(database, store)
    client.post("/v1/jobs", json=job_body("5-6"))

    def units(**filters: object) -> list[int]:
        answer = client.get("/v1/visualizations", query_string={"network": NETWORK, **filters})
        return [item["unit"] for item in answer.get_json()["data"]]

    assert units() == list(range(7))
    assert units(layer="output", state="queued") == [5, 6]
    assert units(layer="output", unit=2) == [2]
    assert units(layer="conv_stem") == []


def test_where_reading_needs_a_key_no_shared_cache_keeps_the_picture(
    start: Start, database: Database, item: Any
) -> None:
    private = start(public_read=False)
    assert private.test_client().get(item["links"]["image"]).status_code == 401
    answer = with_key(private, database, "read").get(item["links"]["image"])
    assert answer.headers["Cache-Control"].startswith("private, ")
