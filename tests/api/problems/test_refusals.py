"""Bad input: a 4xx problem that names the field, and nothing is written."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import ValidationError

from api.problems.field_errors import ERRORS_SHOWN, explain
from services.atlases.atlas_request import AtlasRequest
from services.base.database import Database
from tests.api.small_catalog import NETWORK, job_body, row_counts

pytestmark = pytest.mark.usefixtures("network")


def target(**fields: object) -> list[dict[str, object]]:
    return [{"layer": "output", "units": "0", **fields}]


def recipe(**parameters: object) -> dict[str, object]:
    return {"parameters": parameters}


BAD_JOBS: dict[str, tuple[Any, str, str]] = {
    # what is wrong: the body, the pointer, what the sentence must contain
    "not an object": ([], "", "must be an object"),
    "nothing": ({}, "/network", "is required"),
    "unknown network": (job_body() | {"network": "smal.random"}, "/network", "small.random"),
    "network of another type": (job_body() | {"network": 7}, "/network", "must be a string"),
    "misspelt field": (job_body() | {"sedes": [1]}, "/sedes", "did you mean 'seeds'"),
    "misspelt field of a target": (job_body() | {"targets": target(unit=3)}, "/targets/0/unit", "'units'"),
    "no targets": (job_body() | {"targets": []}, "/targets", "at least 1"),
    "too many targets": (job_body() | {"targets": target() * 65}, "/targets", "at most 64"),
    "unknown layer": (job_body(layer="conv_sten"), "/targets/0/layer", "conv_stem"),
    "unit that is not there": (job_body("0-10"), "/targets/0/units", "0–9"),
    "negative unit": (job_body([-1]), "/targets/0/units", "-1"),
    "no unit": (job_body([]), "/targets/0/units", "names no unit"),
    "unreadable units": (job_body("one"), "/targets/0/units", "one"),
    "backward range": (job_body("5-2"), "/targets/0/units", "2-5"),
    "unit as text in a list": (job_body([0, "1"]), "/targets/0/units/1", "whole number"),
    "units of a third type": (job_body({"from": 0}), "/targets/0/units", "must be a string, got"),
    "position of a vector's unit": (
        job_body() | {"targets": target(position=[0, 0])},
        "/targets/0/position",
        "",
    ),
    "position outside of the map": (
        job_body() | {"targets": target(layer="conv_stem", position=[16, 0])},
        "/targets/0/position",
        "16",
    ),
    "half a position": (
        job_body() | {"targets": target(layer="conv_stem", position=[3])},
        "/targets/0/position/1",
        "is required",
    ),
    "token of a layer without": (
        job_body() | {"targets": target(layer="conv_stem", token=0)},
        "/targets/0/token",
        "has no tokens; leave the token out",
    ),
    "negative token": (job_body() | {"targets": target(token=-1)}, "/targets/0/token", "at least 0"),
    "token that no layer has": (job_body() | {"targets": target(token=2**31)}, "/targets/0/token", "at most"),
    "token that is true": (job_body() | {"targets": target(token=True)}, "/targets/0/token", "whole number"),
    "token as text": (job_body() | {"targets": target(token="3")}, "/targets/0/token", "whole number"),
    "unknown generator": (job_body(generator="big"), "/generator", "small"),
    "unknown technique": (job_body(recipe={"technique": "magic"}), "/recipe/technique", "dgn-am"),
    "unknown parameter": (job_body(recipe=recipe(stepz=3)), "/recipe/parameters/stepz", "steps"),
    "parameter out of range": (job_body(recipe=recipe(steps=0)), "/recipe/parameters/steps", "1"),
    "parameter of another type": (job_body(recipe=recipe(steps="many")), "/recipe/parameters/steps", "many"),
    "negative seed": (job_body(seeds=[-1]), "/seeds/0", "at least 0"),
    "no seed": (job_body(seeds=[]), "/seeds", "at least 1"),
    "unknown lane": (job_body(lane="fast"), "/lane", "interactive"),
    "too many pictures": (
        job_body("all", layer="blocks.0.1", seeds=list(range(64)))
        | {"targets": [{"layer": "blocks.0.1", "units": "all", "position": [y, 0]} for y in range(8)]},
        "/targets",
        "20000",
    ),
}


@pytest.mark.parametrize(("body", "pointer", "sentence"), BAD_JOBS.values(), ids=BAD_JOBS.keys())
def test_a_job_that_cannot_be_is_refused_by_field_and_writes_nothing(
    client: FlaskClient, database: Database, body: Any, pointer: str, sentence: str
) -> None:
    counts = row_counts(database)
    answer = client.post("/v1/jobs", json=body)
    assert answer.status_code == 422, answer.get_json()
    assert answer.mimetype == "application/problem+json"
    errors = answer.get_json()["errors"]
    assert all(error["in"] == "body" for error in errors)
    found = {error["pointer"]: error["detail"] for error in errors}
    assert pointer in found
    assert sentence in found[pointer]
    assert row_counts(database) == counts


def test_every_wrong_field_is_named_at_once(client: FlaskClient) -> None:
    body = job_body(seeds=[-1], lane="fast") | {"targets": [{"layer": "output"}]}
    errors = client.post("/v1/jobs", json=body).get_json()["errors"]
    assert {error["pointer"] for error in errors} == {"/targets/0/units", "/seeds/0", "/lane"}


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/atlases:estimate", {"network": NETWORK}), ("/v1/scans", {"network": NETWORK, "sources": ["a"]})],
)
def test_an_entry_of_a_list_of_layers_is_no_longer_than_words_alone(
    client: FlaskClient, path: str, body: dict[str, Any]
) -> None:
    answer = client.post(path, json=body | {"layers": ["conv_stem", "x" * 4001]})
    assert answer.status_code == 422
    errors = {error["pointer"]: error["detail"] for error in answer.get_json()["errors"]}
    assert "must have at most 4000 characters" in errors["/layers/1"]


def test_no_more_wrong_fields_are_put_into_words_than_are_told() -> None:
    sent = {"network": NETWORK, "units": [""] * 90_000}
    with pytest.raises(ValidationError) as caught:
        AtlasRequest.model_validate(sent)
    errors = explain(caught.value, AtlasRequest, sent)
    assert [error.pointer for error in errors] == ["/units", *(f"/units/{n}" for n in range(ERRORS_SHOWN))]


def test_every_wrong_name_is_named_at_once(client: FlaskClient) -> None:
    body = job_body(recipe=recipe(steps=0)) | {
        "targets": [{"layer": "output", "units": "77"}, {"layer": "nowhere", "units": "0"}]
    }
    errors = client.post("/v1/jobs", json=body).get_json()["errors"]
    assert {error["pointer"] for error in errors} >= {
        "/targets/0/units",
        "/targets/1/layer",
        "/recipe/parameters/steps",
    }


BAD_NETWORKS: dict[str, tuple[Any, str]] = {
    "no id": ({}, "/id"),
    "id without a tag": ({"id": "resnet18"}, "/id"),
    "id that is a path": ({"id": "../etc/passwd"}, "/id"),
    "weights that are a path": (
        {"id": "a.b", "source": "file", "architecture": "timm:a", "weights": "../a.safetensors"},
        "/weights",
    ),
    "weights that are a pickle": (
        {"id": "a.b", "source": "file", "architecture": "timm:a", "weights": "a.pth"},
        "/weights",
    ),
    "file without architecture": ({"id": "a.b", "weights": "a.safetensors"}, "/architecture"),
    "unknown source": ({"id": "a.b", "source": "http"}, "/source"),
    "mean in units of 255": ({"id": "a.b", "mean": [123.7, 116.3, 103.5]}, "/mean/0"),
    "mean of truths": ({"id": "a.b", "mean": [0, True, 0]}, "/mean/1"),
    "mean of texts": ({"id": "a.b", "mean": ["0.5", 0, 0]}, "/mean/0"),
    "mean of two": ({"id": "a.b", "mean": [0.5, 0.5]}, "/mean"),
    "std of zero": ({"id": "a.b", "std": [0.2, 0, 0.2]}, "/std/1"),
    "std in units of 255": ({"id": "a.b", "std": [58.4, 57.1, 57.4]}, "/std/0"),
    "input size that is no size": ({"id": "a.b", "input_size": 0}, "/input_size"),
    "input size that is a truth": ({"id": "a.b", "input_size": True}, "/input_size"),
    "channels of another kind": ({"id": "a.b", "channels": "grb"}, "/channels"),
    "no labels": ({"id": "a.b", "labels": []}, "/labels"),
    "label that is too long": ({"id": "a.b", "labels": ["x" * 201]}, "/labels/0"),
    "label that is empty": ({"id": "a.b", "labels": ["x", ""]}, "/labels/1"),
    "more labels than classes": (
        {
            "id": "a.b",
            "architecture": "timm:a",
            "weights": "a.safetensors",
            "classes": 2,
            "labels": ["x", "y", "z"],
        },
        "/labels",
    ),
    "unknown field": ({"id": "a.b", "url": "http://example.org"}, "/url"),
}


@pytest.mark.parametrize(("body", "pointer"), BAD_NETWORKS.values(), ids=BAD_NETWORKS.keys())
def test_a_network_that_cannot_be_is_refused_by_field_and_writes_nothing(
    client: FlaskClient, database: Database, body: Any, pointer: str
) -> None:
    counts = row_counts(database)
    answer = client.post("/v1/networks", json=body)
    assert answer.status_code == 422, answer.get_json()
    assert pointer in [error["pointer"] for error in answer.get_json()["errors"]]
    assert row_counts(database) == counts


def test_a_network_that_is_registered_otherwise_is_a_conflict(
    client: FlaskClient, database: Database
) -> None:
    counts = row_counts(database)
    answer = client.post("/v1/networks", json={"id": NETWORK, "source": "timm"})
    assert answer.status_code == 409
    assert row_counts(database) == counts


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/v1/jobs?limit=0", "/limit"),
        ("/v1/jobs?limit=201", "/limit"),
        ("/v1/jobs?limit=many", "/limit"),
        ("/v1/jobs?cursor=nonsense", "/cursor"),
        ("/v1/jobs?state=lost", "/state"),
        ("/v1/jobs?colour=red", "/colour"),
        ("/v1/networks?cursor=eyJ9", "/cursor"),
        ("/v1/visualizations?unit=3", "/unit"),
        ("/v1/visualizations?layer=output", "/layer"),
        ("/v1/visualizations?state=happy", "/state"),
        (f"/v1/networks/{NETWORK}?limit=3", "/limit"),
        ("/v1/visualizations/abc/image?view=side", "/view"),
    ],
)
def test_a_wrong_query_is_refused_by_parameter(client: FlaskClient, path: str, pointer: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 422, answer.get_json()
    (error,) = answer.get_json()["errors"]
    assert (error["in"], error["pointer"]) == ("query", pointer)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/networks/none.such",
        f"/v1/networks/{NETWORK}/layers/none",
        f"/v1/networks/{NETWORK}/layers/output/units/10",
        "/v1/generators/none",
        "/v1/techniques/none",
        "/v1/jobs/job_none",
        "/v1/jobs/job_none/visualizations",
        "/v1/visualizations/" + "0" * 64,
        "/v1/visualizations/" + "0" * 64 + "/image",
        "/v1/nothing",
        "/nothing",
    ],
)
def test_what_is_not_there_is_a_404_problem(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["status"] == 404
    assert answer.get_json()["type"] == "/docs#problem-not-found"
    assert answer.get_json()["request_id"] == answer.headers["X-Request-Id"]


def test_a_misspelt_name_is_answered_with_the_nearest(client: FlaskClient) -> None:
    assert "classifier" in client.get(f"/v1/networks/{NETWORK}/layers/clasifier").get_json()["detail"]
    assert NETWORK in client.get("/v1/networks/smal.random").get_json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/networks/a%00b",
        "/v1/jobs/%00",
        "/jobs/%00",
        "/v1/visualizations?network=a%00b",
        "/v1/networks/%F0%28",
    ],
)
def test_bytes_that_no_name_has_are_refused_and_do_not_reach_the_database(
    client: FlaskClient, path: str
) -> None:
    assert client.get(path).status_code in (404, 422)


def test_a_unit_is_a_number(client: FlaskClient) -> None:
    answer = client.get(f"/v1/networks/{NETWORK}/layers/output/units/first")
    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [
        {"in": "path", "pointer": "/unit", "detail": 'must be a whole number, got "first"'}
    ]


def test_a_wrong_method_is_a_405_problem_that_lists_the_right_ones(client: FlaskClient) -> None:
    answer = client.delete("/v1/jobs")
    assert answer.status_code == 405
    assert answer.mimetype == "application/problem+json"
    assert {"GET", "POST", "HEAD"} <= set(answer.headers["Allow"].split(", "))


def test_a_body_over_the_limit_is_a_413_problem(client: FlaskClient, database: Database) -> None:
    counts = row_counts(database)
    answer = client.post("/v1/jobs", json=job_body("0," * 600_000 + "0"))
    assert answer.status_code == 413
    assert answer.mimetype == "application/problem+json"
    assert "1048576" in answer.get_json()["detail"]
    assert row_counts(database) == counts


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_of_another_type_is_a_415_problem(client: FlaskClient, media_type: str | None) -> None:
    answer = client.post("/v1/jobs", data=b"{}", content_type=media_type)
    assert answer.status_code == 415
    assert answer.mimetype == "application/problem+json"
    assert "application/json" in answer.get_json()["detail"]


@pytest.mark.parametrize("text", [b"", b"{", b'{"seeds": [NaN]}', b"\xff", b"[" * 100_000, b"9" * 5000])
def test_a_body_that_is_no_json_is_a_400_problem(client: FlaskClient, text: bytes) -> None:
    answer = client.post("/v1/jobs", data=text, content_type="application/json")
    assert answer.status_code == 400
    assert answer.get_json()["type"] == "/docs#problem-malformed-body"


def test_a_number_too_large_for_the_database_is_refused_by_field(client: FlaskClient) -> None:
    answer = client.post("/v1/jobs", json=job_body([10**30]))
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"].startswith("/targets/0/units")


@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud800"])
def test_text_that_no_database_can_hold_is_refused_by_field(client: FlaskClient, text: str) -> None:
    body = json.dumps(job_body() | {"network": "TEXT"}).replace("TEXT", text)
    answer = client.post("/v1/jobs", data=body, content_type="application/json")
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == "/network"
    body = json.dumps(job_body(recipe=recipe(TEXT=1))).replace("TEXT", text)
    answer = client.post("/v1/jobs", data=body, content_type="application/json")
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == "/recipe/parameters"


def test_an_overlong_idempotency_key_is_refused_by_header(client: FlaskClient, database: Database) -> None:
    counts = row_counts(database)
    answer = client.post("/v1/jobs", json=job_body(), headers={"Idempotency-Key": "k" * 256})
    assert answer.status_code == 422
    assert (answer.get_json()["errors"][0]["in"], answer.get_json()["errors"][0]["pointer"]) == (
        "header",
        "/Idempotency-Key",
    )
    assert row_counts(database) == counts


def test_a_job_for_a_network_under_inspection_is_a_conflict(client: FlaskClient, database: Database) -> None:
    assert client.post("/v1/networks", json={"id": "resnet18.a1_in1k"}).status_code == 202
    counts = row_counts(database)
    answer = client.post("/v1/jobs", json=job_body() | {"network": "resnet18.a1_in1k"})
    assert answer.status_code == 409
    assert row_counts(database) == counts


@pytest.mark.parametrize(
    "body",
    [
        '{"id": "a.b", "mean": [NaN, 0, 0]}',
        '{"id": "a.b", "std": [1e999, 1, 1]}',
        r'{"id": "a.b", "labels": ["\ud800"]}',
        r'{"id": "a.b", "labels": ["\u0000"]}',
    ],
)
def test_what_a_database_cannot_hold_is_stated_of_no_network(
    client: FlaskClient, database: Database, body: str
) -> None:
    counts = row_counts(database)
    answer = client.post("/v1/networks", data=body, content_type="application/json")
    assert 400 <= answer.status_code < 500
    assert answer.mimetype == "application/problem+json"
    assert row_counts(database) == counts
