"""DELETE: what nothing needs goes, what something needs stays and says what needs it."""

import threading

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.atlases import changes
from services.base.database import Database
from services.base.errors import Invalid
from services.base.storage import ObjectStore
from services.catalog import removal
from services.catalog.generators import register_generator
from services.catalog.inspections import record_inspection_failure
from services.jobs import submission
from services.jobs.job_request import JobRequest
from services.trainings import leases as training_leases
from tests.api.small_catalog import NETWORK, finish_all, job_body, row_counts, with_key
from tests.small_training import register_encoder

pytestmark = pytest.mark.usefixtures("network")
OTHER = "resnet18.a1_in1k"


@pytest.fixture
def admin(app: Flask, database: Database) -> FlaskClient:
    return with_key(app, database, "admin", "jobs:write", "read")


def _refused(answer: TestResponse, *named: str) -> bool:
    detail = answer.get_json()["detail"]
    assert answer.status_code == 409
    assert all(name in detail for name in named), detail
    return True


def _job(admin: FlaskClient, units: object = "0-3") -> str:
    job: str = admin.post("/v1/jobs", json=job_body(units)).get_json()["id"]
    return job


def test_a_job_that_has_ended_is_forgotten_and_its_pictures_stay(
    admin: FlaskClient, database: Database, store: ObjectStore
) -> None:
    job = _job(admin)
    assert _refused(admin.delete(f"/v1/jobs/{job}"), "queued", "cancel")
    finish_all(database, store)
    digests = [item["digest"] for item in admin.get(f"/v1/jobs/{job}/visualizations").get_json()["data"]]
    gone = admin.delete(f"/v1/jobs/{job}")
    assert (gone.status_code, gone.data) == (204, b"")
    assert admin.get(f"/v1/jobs/{job}").status_code == 404
    assert admin.delete(f"/v1/jobs/{job}").status_code == 404
    shown = [admin.get(f"/v1/visualizations/{digest}/image").status_code for digest in digests]
    assert shown == [200] * 4
    # What was made stays known: the same again is answered from the cache.
    assert admin.post("/v1/jobs", json=job_body()).get_json()["progress"]["units"]["cached"] == 4


@pytest.mark.parametrize("accept", ["application/json, */*", "application/json", "*/*", "text/html"])
def test_what_is_removed_has_no_body_that_accept_could_refuse(admin: FlaskClient, accept: str) -> None:
    admin.post("/v1/networks", json={"id": OTHER})
    gone = admin.delete(f"/v1/networks/{OTHER}", headers={"Accept": accept})
    assert (gone.status_code, gone.data) == (204, b"")


def test_a_network_goes_once_no_job_and_no_picture_needs_it(
    admin: FlaskClient, database: Database, store: ObjectStore
) -> None:
    job = _job(admin)
    path = f"/v1/networks/{NETWORK}"
    assert _refused(admin.delete(path), job)
    assert admin.post(f"/v1/jobs/{job}/cancel").status_code == 200
    assert _refused(admin.delete(path), job, f"DELETE /v1/jobs/{job}")
    assert admin.delete(f"/v1/jobs/{job}").status_code == 204
    assert admin.delete(path).status_code == 204
    counts = row_counts(database)
    assert (counts["networks"], counts["layers"], counts["visualizations"]) == (0, 0, 0)


def test_a_network_with_pictures_stays(admin: FlaskClient, database: Database, store: ObjectStore) -> None:
    job = _job(admin)
    finish_all(database, store)
    assert admin.delete(f"/v1/jobs/{job}").status_code == 204
    assert _refused(admin.delete(f"/v1/networks/{NETWORK}"), "pictures")
    assert admin.get(f"/v1/networks/{NETWORK}").status_code == 200


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_a_network_that_never_became_ready_goes_at_once(
    admin: FlaskClient, database: Database, state: str
) -> None:
    assert admin.post("/v1/networks", json={"id": OTHER}).status_code == 202
    if state == "failed":
        with database.session() as session:
            record_inspection_failure(session, OTHER, "There is no such network.")
    assert admin.delete(f"/v1/networks/{OTHER}").status_code == 204
    assert admin.get(f"/v1/networks/{OTHER}").status_code == 404
    # What a worker reports of it afterwards changes nothing.
    with database.session() as session:
        assert not record_inspection_failure(session, OTHER, "too late")


def test_a_generator_goes_once_no_picture_and_no_training_needs_it(
    admin: FlaskClient, database: Database, store: ObjectStore
) -> None:
    assert _refused(admin.delete("/v1/generators/small"), "default")
    register_encoder(database)
    body = {"name": "birds", "training": {"sources": ["birds"], "pictures": 1000}}
    training = admin.post("/v1/generators", json=body).get_json()["id"]
    assert _refused(admin.delete(f"/v1/trainings/{training}"), "queued", "cancel")
    info = {"architecture": "compact", "code_shape": [16], "image_size": 32, "encoder": NETWORK}
    with database.session() as session:
        claim = training_leases.claim(session, "tester", lease_seconds=60)
        assert claim is not None
        training_leases.finish(
            session, claim, info=info, sha256="c" * 64, log="log", card=None, progress={}, samples=()
        )
    job = admin.post("/v1/jobs", json=job_body("0", generator="birds")).get_json()["id"]
    assert _refused(admin.delete("/v1/generators/birds"), "Pictures")
    finish_all(database, store)
    assert admin.delete(f"/v1/jobs/{job}").status_code == 204
    assert _refused(admin.delete("/v1/generators/birds"), "Pictures")
    with database.session() as session:
        session.execute(sa.text("DELETE FROM visualizations"))
    assert _refused(admin.delete("/v1/generators/birds"), training)
    assert admin.delete(f"/v1/trainings/{training}").status_code == 204
    assert admin.delete("/v1/generators/birds").status_code == 204
    assert [found["id"] for found in admin.get("/v1/generators").get_json()["data"]] == ["small"]


def test_nothing_is_removed_from_under_a_submission(database: Database) -> None:
    """Whichever of the two comes first, the other sees what it did; neither fails for no reason."""
    with database.session() as session:
        info = {"architecture": "compact", "code_shape": [16], "image_size": 32, "encoder": NETWORK}
        register_generator(session, "birds", info, "c" * 64)
    request = JobRequest.model_validate(job_body("0", generator="birds"))
    planned, go_on = threading.Event(), threading.Event()
    outcome: list[object] = []

    def submit() -> None:
        with database.session() as session:
            submission.submit(session, request)
            planned.set()
            assert go_on.wait(60)

    def remove() -> None:
        try:
            with database.session() as session:
                removal.remove_generator(session, "birds")
            outcome.append("removed")
        except Exception as error:
            outcome.append(error)

    submitter, remover = threading.Thread(target=submit), threading.Thread(target=remove)
    submitter.start()
    assert planned.wait(60)
    remover.start()
    remover.join(0.5)
    assert not outcome  # it waits for the submission to end
    go_on.set()
    submitter.join()
    remover.join()
    assert "Pictures were made" in str(outcome[0])


def test_a_submission_that_comes_after_a_removal_says_what_is_missing(database: Database) -> None:
    with database.session() as session:
        removal.remove_network(session, NETWORK)
    with pytest.raises(Invalid, match="/network"), database.session() as session:
        submission.submit(session, JobRequest.model_validate(job_body()))


def test_whether_a_generator_is_needed_is_looked_up_in_an_index(database: Database) -> None:
    with database.session() as session:
        session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        query = "SELECT digest FROM visualizations WHERE generator_id = 'small' LIMIT 1"
        plan = "\n".join(session.scalars(sa.text(f"EXPLAIN {query}")))
    assert "ix_visualizations_generator" in plan


def test_an_atlas_that_keeps_a_network_is_named_to_those_who_see_it(
    app: Flask, database: Database, admin: FlaskClient
) -> None:
    body = {"network": NETWORK, "layers": "output", "units": "0-3"}
    atlas = admin.post("/v1/atlases", json=body).get_json()["id"]
    owner = with_key(app, database, "jobs:write")
    with database.session() as session:
        session.execute(
            sa.text("UPDATE networks SET owner_key_id = (SELECT max(id) FROM api_keys WHERE id <> :admin)"),
            {"admin": admin.get(f"/v1/atlases/{atlas}").get_json()["owner"]},
        )
    path = f"/v1/networks/{NETWORK}"
    assert _refused(admin.delete(path), f"DELETE /v1/atlases/{atlas}")
    assert _refused(owner.delete(path), "private atlas of another key")
    assert atlas not in owner.delete(path).get_json()["detail"]
    with database.session() as session:
        changes.delete(session, atlas)
    assert _refused(admin.delete(path), "is being removed")
