"""The list of jobs, and the queue."""

import pytest
from flask.testing import FlaskClient

from services.base.database import Database
from services.base.storage import ObjectStore
from tests.api.small_catalog import finish_all, job_body


@pytest.mark.usefixtures("network")
def test_jobs_are_listed_with_what_they_ask_for_and_how_far_they_are(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    empty = client.get("/jobs").text
    assert "imago submit" in empty
    job = client.post("/v1/jobs", json=job_body("0-1")).get_json()
    waiting = client.get("/jobs").text
    assert f'href="/jobs/{job["id"]}"' in waiting
    assert "0 of 2" in waiting
    finish_all(database, store)
    assert "2 of 2" in client.get("/jobs?state=succeeded").text
    assert job["id"] not in client.get("/jobs?state=failed").text


@pytest.mark.usefixtures("network")
def test_a_wrong_state_of_jobs_is_explained(client: FlaskClient) -> None:
    answer = client.get("/jobs?state=finished", headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert "succeeded" in answer.text


@pytest.mark.usefixtures("network")
def test_the_queue_says_what_waits_and_what_to_do_where_nobody_works(client: FlaskClient) -> None:
    client.post("/v1/jobs", json=job_body("0-1"))
    page = client.get("/queue").text
    assert "interactive" in page
    assert "No worker was seen" in page
