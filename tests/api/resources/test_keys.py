from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from services.access.tables import ApiKeyRow
from services.base.database import Database
from tests.api.conftest import Start
from tests.api.small_catalog import job_body, row_counts, with_key

pytestmark = pytest.mark.usefixtures("network")

WRITES = ("/v1/jobs", "/v1/networks", "/v1/jobs/job_x/cancel", "/v1/jobs/job_x/retry", "/v1/keys")


@pytest.mark.parametrize("path", WRITES)
def test_writing_without_a_key_is_refused_before_anything_is_read(
    anonymous: FlaskClient, database: Database, path: str
) -> None:
    counts = row_counts(database)
    answer = anonymous.post(path, data=b"not json")
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert row_counts(database) == counts


@pytest.mark.parametrize("path", WRITES)
def test_a_key_without_the_scope_is_told_which_it_lacks(app: Flask, database: Database, path: str) -> None:
    answer = with_key(app, database, "read").post(path, json={})
    assert answer.status_code == 403
    assert ("admin" if path == "/v1/keys" else "jobs:write") in answer.get_json()["detail"]


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer imago_aaaaaaaa_" + "b" * 43, "Basic dTpw", "Bearer", "imago", "Bearer  "],
)
def test_a_wrong_key_is_refused_even_where_none_is_needed(anonymous: FlaskClient, header: str) -> None:
    answer = anonymous.get("/v1/networks", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_reading_needs_a_key_where_the_settings_say_so(start: Start, database: Database) -> None:
    private = start(public_read=False)
    for path in ("/v1/networks", "/v1/queue", "/jobs/job_x"):
        assert private.test_client().get(path).status_code == 401
    for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
        assert private.test_client().get(path).status_code == 200
    assert with_key(private, database, "read").get("/v1/networks").status_code == 200
    assert with_key(private, database, "jobs:write").get("/v1/networks").status_code == 403


def test_an_admin_creates_lists_and_revokes_keys(app: Flask, database: Database) -> None:
    admin = with_key(app, database, "admin")
    created = admin.post("/v1/keys", json={"name": "notebook", "scopes": ["jobs:write"]})
    assert created.status_code == 201
    assert created.headers["Cache-Control"] == "no-store"
    key = created.get_json()
    assert created.headers["Location"] == key["links"]["self"]

    notebook = app.test_client()
    bearer = {"Authorization": f"Bearer {key['token']}"}
    me = notebook.get("/v1/me", headers=bearer).get_json()
    assert (me["id"], me["name"], me["scopes"]) == (key["id"], "notebook", ["jobs:write"])
    assert notebook.post("/v1/jobs", json=job_body(), headers=bearer).status_code == 202

    listed = {entry["id"]: entry for entry in admin.get("/v1/keys").get_json()["data"]}
    assert "token" not in listed[key["id"]]
    assert listed[key["id"]]["revoked_at"] is None
    assert admin.delete(key["links"]["self"]).get_json()["revoked_at"]
    refused = notebook.post("/v1/jobs", json=job_body(), headers=bearer)
    assert refused.status_code == 401
    assert "revoked" in refused.get_json()["detail"]


def test_an_expired_key_is_refused(app: Flask, database: Database) -> None:
    admin = with_key(app, database, "admin")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {"name": "old", "scopes": ["read"], "expires_at": tomorrow}
    created = admin.post("/v1/keys", json=body).get_json()
    token = created["token"]
    with database.session() as session:
        session.get_one(ApiKeyRow, created["id"]).expires_at = datetime.now(UTC) - timedelta(seconds=1)
    answer = app.test_client().get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert "expired" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scopes": ["read"]}, "/name"),
        ({"name": "", "scopes": ["read"]}, "/name"),
        ({"name": "  ", "scopes": ["read"]}, "/name"),
        ({"name": "a", "scopes": []}, "/scopes"),
        ({"name": "a", "scopes": ["root"]}, "/scopes/0"),
        ({"name": "a\nb", "scopes": ["read"]}, "/name"),
        *(
            ({"name": "a", "scopes": ["read"], "expires_at": moment}, "/expires_at")
            for moment in (
                "2030-01-01T00:00:00",  # of which zone?
                "2001-01-01T00:00:00Z",  # past
                "9999-12-31T23:59:59-12:00",  # no database could hold it
                "2999-01-01T00:00:00Z",
                "2030-01-01",
                "1e10",
                "0",
                0,
                10**12,
                True,
            )
        ),
        ({"name": "a", "scopes": ["read"], "token": "mine"}, "/token"),
    ],
)
def test_a_key_that_cannot_be_is_refused_by_field(
    app: Flask, database: Database, body: dict[str, object], pointer: str
) -> None:
    admin = with_key(app, database, "admin")
    counts = row_counts(database)
    answer = admin.post("/v1/keys", json=body)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.get_json()["errors"]]
    assert row_counts(database) == counts


def test_me_needs_a_key_but_no_scope(anonymous: FlaskClient, client: FlaskClient) -> None:
    assert anonymous.get("/v1/me").status_code == 401
    assert client.get("/v1/me").get_json()["name"] == "test"


def test_revoking_a_key_that_is_not_there_is_a_404(app: Flask, database: Database) -> None:
    assert with_key(app, database, "admin").delete("/v1/keys/nobody").status_code == 404


def test_preflights_need_no_key(anonymous: FlaskClient) -> None:
    answer = anonymous.options("/v1/jobs")
    assert answer.status_code == 200
    assert "POST" in answer.headers["Allow"]
