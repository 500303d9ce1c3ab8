import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient

from services.base import paging
from services.base.database import Database
from services.base.storage import ObjectStore
from services.queue import batches
from services.queue.batches import Failure
from tests.api.conftest import Start
from tests.api.small_catalog import LABELS, NETWORK, finish_all, job_body, row_counts, with_key

LINES = {"Accept": "application/x-ndjson"}

pytestmark = pytest.mark.usefixtures("network")


def test_a_submission_is_accepted_with_its_address_and_the_whole_job(client: FlaskClient) -> None:
    answer = client.post("/v1/jobs", json=job_body())
    assert answer.status_code == 202
    job = answer.get_json()
    assert answer.headers["Location"] == job["links"]["self"] == f"/v1/jobs/{job['id']}"
    assert int(answer.headers["Retry-After"]) > 0
    assert job["object"] == "job"
    assert job["state"] == "queued"
    assert job["progress"]["units"] == {
        "total": 4,
        "queued": 4,
        "done": 0,
        "failed": 0,
        "unreachable": 0,
        "canceled": 0,
        "leased": 0,
        "cached": 0,
    }
    assert job["queue"] == {"position": 1, "ahead_units": 0}
    assert job["created_at"].endswith("Z")
    assert client.get(job["links"]["self"]).get_json() == job


def test_a_job_ends_with_its_pictures_and_asking_again_is_answered_at_once(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    first = client.post("/v1/jobs", json=job_body()).get_json()
    assert finish_all(database, store) == 4
    job = client.get(first["links"]["self"]).get_json()
    assert (job["state"], job["progress"]["units"]["done"]) == ("succeeded", 4)
    items = client.get(job["links"]["visualizations"]).get_json()["data"]
    assert [item["unit"] for item in items] == [0, 1, 2, 3]
    assert [item["label"] for item in items] == list(LABELS[:4])
    assert [item["activation"] for item in items] == [1.0, 2.0, 3.0, 4.0]
    for item in items:
        assert client.get(item["links"]["image"]).mimetype == "image/png"

    again = client.post("/v1/jobs", json=job_body("1-2"))
    assert again.status_code == 200
    assert "Retry-After" not in again.headers
    assert again.get_json()["state"] == "succeeded"
    assert again.get_json()["progress"]["units"]["cached"] == 2


def test_the_best_of_candidates_is_told_and_can_be_asked_for_alone(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    job = client.post("/v1/jobs", json=job_body("0-1", candidates=3, seeds=[7])).get_json()
    assert (job["request"]["candidates"], job["progress"]["units"]["total"]) == (3, 6)
    finish_all(database, store)
    every = client.get(job["links"]["visualizations"]).get_json()["data"]
    assert [(item["seed"], item["best"]) for item in every[:3]] == [
        (7, True),
        (10_008, False),
        (20_009, False),
    ]
    best = client.get(f"{job['links']['visualizations']}?best=true&limit=1")
    assert best.get_json()["data"] == every[:1]
    (link,) = re.findall(r"<([^>]+)>", best.headers["Link"])
    assert client.get(link).get_json()["data"] == every[3:4]
    others = client.get(f"{job['links']['visualizations']}?best=false").get_json()["data"]
    assert others == [*every[1:3], *every[4:]]
    whole = client.get(every[0]["links"]["self"]).get_json()
    assert whole["score"] == every[0]["score"] == -8.0
    (found, *_) = client.get("/v1/visualizations").get_json()["data"]
    assert "best" not in found
    for wrong in ("yes", "1", ""):
        answer = client.get(f"{job['links']['visualizations']}?best={wrong}")
        assert answer.status_code == 422, wrong
    for count in (0, 9, True, "3"):
        answer = client.post("/v1/jobs", json=job_body(candidates=count))
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/candidates"]


def test_a_unit_of_the_output_goes_by_the_name_of_its_class(client: FlaskClient) -> None:
    named = client.post("/v1/jobs", json=job_body("Class 3"))
    assert named.get_json()["progress"]["units"]["total"] == 1
    (item,) = client.get(named.get_json()["links"]["visualizations"]).get_json()["data"]
    assert (item["unit"], item["label"]) == (3, "class 3")
    refused = client.post("/v1/jobs", json=job_body("clas 3"))
    (error,) = refused.get_json()["errors"]
    assert error["pointer"] == "/targets/0/units"
    assert "'class 3'" in error["detail"]
    units = f"/v1/networks/{NETWORK}/layers/output/units"
    assert [unit["unit"] for unit in client.get(f"{units}?label=Class%203").get_json()["data"]] == [3]
    for layer, told in (("output", "'class 3'"), ("conv_stem", "no class is called")):
        answer = client.get(f"/v1/networks/{NETWORK}/layers/{layer}/units?label=clas+3")
        assert answer.status_code == 422
        (error,) = answer.get_json()["errors"]
        assert error["pointer"] == "/label"
        assert told in error["detail"]


def test_an_idempotency_key_answers_with_the_job_that_it_made(
    client: FlaskClient, database: Database
) -> None:
    headers = {"Idempotency-Key": "monday"}
    first = client.post("/v1/jobs", json=job_body(), headers=headers)
    counts = row_counts(database)
    again = client.post("/v1/jobs", json=job_body(), headers=headers)
    assert again.get_json()["id"] == first.get_json()["id"]
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert row_counts(database) == counts


def test_an_idempotency_key_used_for_another_request_is_refused(
    client: FlaskClient, database: Database
) -> None:
    headers = {"Idempotency-Key": "monday"}
    client.post("/v1/jobs", json=job_body(), headers=headers)
    counts = row_counts(database)
    answer = client.post("/v1/jobs", json=job_body("0-4"), headers=headers)
    assert answer.status_code == 422
    (error,) = answer.get_json()["errors"]
    assert (error["in"], error["pointer"]) == ("header", "/Idempotency-Key")
    assert "monday" in error["detail"]
    assert row_counts(database) == counts


def test_an_idempotency_key_belongs_to_the_key_that_used_it(
    app: Flask, client: FlaskClient, database: Database
) -> None:
    other = with_key(app, database, "jobs:write")
    headers = {"Idempotency-Key": "monday"}
    mine = client.post("/v1/jobs", json=job_body(), headers=headers).get_json()["id"]
    assert other.post("/v1/jobs", json=job_body(), headers=headers).get_json()["id"] != mine


def test_the_wait_of_a_submission_ends_with_the_job(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(
            lambda: client.post("/v1/jobs", json=job_body(), headers={"Prefer": "respond-async, wait=30"})
        )
        while not finish_all(database, store):
            time.sleep(0.05)
        answer = waiting.result(timeout=30)
    assert answer.status_code == 200
    assert answer.get_json()["state"] == "succeeded"


def test_a_wait_that_is_over_answers_with_the_job_as_it_stands(client: FlaskClient) -> None:
    answer = client.post("/v1/jobs", json=job_body(), headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    held = client.get(answer.get_json()["links"]["self"], headers={"Prefer": "wait=1"})
    assert held.status_code == 200
    assert held.get_json()["state"] == "queued"


def test_jobs_are_listed_newest_first_in_pages(client: FlaskClient) -> None:
    made = [client.post("/v1/jobs", json=job_body(str(unit))).get_json()["id"] for unit in range(5)]
    page = client.get("/v1/jobs?limit=2")
    found = [job["id"] for job in page.get_json()["data"]]
    while page.get_json()["next_cursor"]:
        link = page.headers["Link"]
        assert link.endswith('>; rel="next"')
        page = client.get(link[1 : link.index(">")])
        found += [job["id"] for job in page.get_json()["data"]]
    assert found == made[::-1]
    assert "Link" not in page.headers


def test_jobs_are_filtered_by_state(client: FlaskClient) -> None:
    queued = client.post("/v1/jobs", json=job_body("0")).get_json()["id"]
    other = client.post("/v1/jobs", json=job_body("1")).get_json()["id"]
    client.post(f"/v1/jobs/{other}/cancel")
    assert [job["id"] for job in client.get("/v1/jobs?state=queued").get_json()["data"]] == [queued]
    assert [job["id"] for job in client.get("/v1/jobs?state=canceled").get_json()["data"]] == [other]


def test_a_jobs_items_keep_the_order_of_the_request_over_pages_and_by_state(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    job = client.post("/v1/jobs", json=job_body("0-6", layer="blocks.0.1")).get_json()
    path = job["links"]["visualizations"]
    first = client.get(f"{path}?limit=4").get_json()
    second = client.get(path, query_string={"limit": 4, "cursor": first["next_cursor"]}).get_json()
    assert [item["unit"] for item in first["data"] + second["data"]] == list(range(7))
    assert second["next_cursor"] is None
    assert client.get(f"{path}?state=done").get_json()["data"] == []
    assert all(item["label"] is None for item in first["data"])


def test_items_and_visualizations_are_listed_in_pages_and_all_at_once_as_lines(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_LARGEST", 3)  # of one transaction
    job = client.post("/v1/jobs", json=job_body("0-6", layer="blocks.0.1")).get_json()
    for path in (job["links"]["visualizations"], f"/v1/visualizations?network={NETWORK}"):
        beside = "&" if "?" in path else "?"
        first = client.get(f"{path}{beside}limit=3").get_json()
        lines = client.get(path, headers=LINES)
        assert lines.mimetype == "application/x-ndjson"
        every = [json.loads(line) for line in lines.get_data(as_text=True).splitlines()]
        assert (len(every), every[:3]) == (7, first["data"])
        rest = client.get(f"{path}{beside}cursor={first['next_cursor']}", headers=LINES)
        assert [json.loads(line) for line in rest.get_data(as_text=True).splitlines()] == every[3:]
        assert client.get(f"{path}{beside}state=done", headers=LINES).get_data() == b""
        assert client.get(f"{path}{beside}cursor=none", headers=LINES).status_code == 422
    assert client.get("/v1/jobs/job_none/visualizations", headers=LINES).status_code == 404


def test_a_canceled_job_can_be_retried(client: FlaskClient) -> None:
    job = client.post("/v1/jobs", json=job_body()).get_json()
    canceled = client.post(f"{job['links']['self']}/cancel")
    assert canceled.status_code == 200
    assert canceled.get_json()["state"] == "canceled"
    assert canceled.get_json()["progress"]["units"]["canceled"] == 4
    retried = client.post(f"{job['links']['self']}/retry")
    assert retried.status_code == 202
    assert retried.get_json()["progress"]["units"]["queued"] == 4


def test_what_has_succeeded_can_neither_be_canceled_nor_retried(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    job = client.post("/v1/jobs", json=job_body()).get_json()
    finish_all(database, store)
    for action in ("cancel", "retry"):
        answer = client.post(f"{job['links']['self']}/{action}")
        assert answer.status_code == 409
        assert answer.get_json()["type"].endswith("conflict")


def test_a_failed_item_says_why(client: FlaskClient, database: Database) -> None:
    job = client.post("/v1/jobs", json=job_body("5")).get_json()
    with database.session() as session:
        claim = batches.claim(session, "tester", limit=1, lease_seconds=60)
        assert claim is not None
        failure = Failure(claim.items[0].digest, "out_of_memory", "It does not fit.", retryable=False)
        batches.conclude(session, claim.lease_id, failures=[failure])
    job = client.get(job["links"]["self"]).get_json()
    assert job["state"] == "failed"
    assert job["errors"] == [{"code": "out_of_memory", "count": 1, "message": "It does not fit."}]
    (item,) = client.get(job["links"]["visualizations"]).get_json()["data"]
    assert item["error"] == {"code": "out_of_memory", "message": "It does not fit.", "retryable": False}
    assert item["links"]["image"] is None
    picture = client.get(f"{item['links']['self']}/image")
    assert picture.status_code == 404
    assert "It does not fit." in picture.get_json()["detail"]
    assert "Retry-After" not in picture.headers


def test_a_submission_succeeds_while_the_broker_is_away(
    start: Start, database: Database, store: ObjectStore
) -> None:
    app = start(broker_url="redis://127.0.0.1:1/0")
    answer = with_key(app, database, "jobs:write").post("/v1/jobs", json=job_body())
    assert answer.status_code == 202
    assert finish_all(database, store) == 4
