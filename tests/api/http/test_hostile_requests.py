"""What nobody sends by mistake, and what a tool sends by one: refused by a problem that says where it is,
before it reaches a model, the file system or the database.
"""

import base64
import json
import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from services.base.database import Database
from services.base.paging import Keyset
from tests.api.small_catalog import NETWORK, job_body, row_counts

pytestmark = pytest.mark.usefixtures("network")


def nested(depth: int, kind: str) -> str:
    """JSON of arrays or objects, as deep as told."""
    opening, closing = ("[", "]") if kind == "list" else ('{"a":', "}")
    return opening * depth + "0" + closing * depth


def with_parameters(text: str) -> bytes:
    """A job whose recipe's parameters are this JSON."""
    return json.dumps(job_body(recipe={"parameters": "HERE"})).replace('"HERE"', text).encode()


def refused(answer: Any, status: int = 422) -> dict[str, str]:
    """The sentences of a problem by their pointers."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    assert len(answer.data) < 20_000
    return {error["pointer"]: error["detail"] for error in answer.get_json().get("errors", [])}


def post(client: FlaskClient, data: bytes, **headers: str) -> Any:
    return client.post("/v1/jobs", data=data, content_type="application/json", headers=headers)


@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("depth", [31, 300, 900, 50_000])
def test_values_that_lie_too_deep_in_each_other_are_refused(
    client: FlaskClient, database: Database, kind: str, depth: int
) -> None:
    counts = row_counts(database)
    answer = post(client, with_parameters('{"b": ' + nested(depth, kind) + "}"))
    if answer.status_code == 422:
        (place,) = refused(answer)
        assert place.startswith("/recipe/parameters/b")
    else:
        refused(answer, status=400)  # Python's reader of JSON has given up
        assert depth == 50_000
    assert row_counts(database) == counts


@pytest.mark.parametrize(
    ("text", "pointer", "sentence"),
    [
        ('{"steps": 1, "steps": 2}', "/recipe/parameters/steps", "more than once"),
        ('{"a": [{"b": 1, "b": 1}]}', "/recipe/parameters/a/0/b", "more than once"),
        ('{"steps": 9223372036854775808}', "/recipe/parameters/steps", "64 bits"),
        ('{"a": [-1e400]}', "/recipe/parameters/a/0", "finite"),
        ('{"a": {"b": "\\u0000"}}', "/recipe/parameters/a/b", "U+0000"),
        ('{"a": ["\\udc00"]}', "/recipe/parameters/a/0", "surrogate"),
        ('{"\\ud800": 1}', "/recipe/parameters", "surrogate"),
        ("{" + ",".join(f'"k{n}": 1' for n in range(300)) + "}", "/recipe/parameters", "256 members"),
        ("[" + ",".join("0" for n in range(150_000)) + "]", "", "150"),
    ],
)
def test_what_no_field_can_hold_is_named_by_its_place(
    client: FlaskClient, database: Database, text: str, pointer: str, sentence: str
) -> None:
    counts = row_counts(database)
    assert sentence in refused(post(client, with_parameters(text)))[pointer]
    assert row_counts(database) == counts


def test_a_body_that_is_wrong_in_very_many_places_gets_a_short_answer_soon(client: FlaskClient) -> None:
    wrong = json.dumps(job_body(units=["x"] * 90_000)).encode()
    twice = with_parameters("{" + ",".join(f'"k{n % 40_000}": 1' for n in range(60_000)) + "}")
    for data in (wrong, twice):
        started = time.monotonic()
        assert 1 <= len(refused(post(client, data))) <= 50
        assert time.monotonic() - started < 30  # a quadratic search takes minutes


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (json.dumps(job_body()).encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"network": "\xe9"}', "UTF-8"),
        (b"{} {}", "column"),
        (b"{'network': 1}", "column"),
        (b"[Infinity]", "Infinity"),
    ],
)
def test_what_is_not_json_in_utf_8_is_a_400(client: FlaskClient, data: bytes, sentence: str) -> None:
    answer = post(client, data)
    refused(answer, status=400)
    assert sentence in answer.get_json()["detail"]


def test_a_body_in_another_encoding_is_a_415(client: FlaskClient) -> None:
    body = json.dumps(job_body()).encode()
    refused(post(client, body, **{"Content-Encoding": "gzip"}), status=415)
    latin = client.post("/v1/jobs", data=body, content_type="application/json; charset=latin-1")
    refused(latin, status=415)
    utf = client.post("/v1/jobs", data=body, content_type="application/json; charset=UTF-8")
    assert utf.status_code == 202


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=1&limit=1", "/limit"),
        ("limit=1&state=done&limit=2", "/limit"),
        ("limit=+3", "/limit"),
        ("limit=3.0", "/limit"),
        ("limit=1_0", "/limit"),
        ("limit=%D9%A3", "/limit"),
        ("limit=" + "9" * 5000, "/limit"),
        ("unit=9223372036854775808&network=a&layer=b", "/unit"),
        ("network=%FF", "/network"),
        ("network=%ED%A0%80", "/network"),
        ("network=a%00", "/network"),
        ("network=a%0Ab", "/network"),
        ("network=" + "n" * 201, "/network"),
        ("%FF=1", "/\ufffd"),
        ("__proto__=1", "/__proto__"),
        ("cursor=" + "c" * 1001, "/cursor"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_by_name(client: FlaskClient, query: str, pointer: str) -> None:
    assert pointer in refused(client.get(f"/v1/visualizations?{query}"))


@pytest.mark.parametrize(
    "path",
    ["/v1/networks/%FF", "/v1/networks/%ED%A0%80", "/v1/jobs/a%00b/visualizations", "/jobs/%C0%80", "/%FF"],
)
def test_a_path_that_is_no_text_is_a_404(client: FlaskClient, path: str) -> None:
    refused(client.get(path), status=404)


def forged(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("path", "cursor"),
    [
        ("/v1/networks", forged("networks", "\ud800")),
        ("/v1/networks", forged("networks", "a\0")),
        ("/v1/networks", forged("networks", 1)),
        ("/v1/networks", forged(["networks"], "a")),
        ("/v1/networks", forged()),
        ("/v1/networks", base64.urlsafe_b64encode(b"[" * 700).decode()),
        (f"/v1/networks/{NETWORK}/layers", forged("layers", -1)),
        (f"/v1/networks/{NETWORK}/layers", forged("layers", True)),
        (f"/v1/networks/{NETWORK}/layers/output/units", forged("units", -5)),
        (f"/v1/networks/{NETWORK}/layers/output/units", forged("units", 2**63 - 1)),
        (f"/v1/networks/{NETWORK}/layers", forged("layers", 2**31)),
        ("/v1/visualizations", forged("visualizations", "a", "b", 2**80, "c")),
        ("/v1/visualizations", Keyset("jobs", (str,)).cursor_after(["job_1"])),
        ("/v1/visualizations", "ä"),
        ("/v1/presets", "ä"),
        ("/v1/techniques", forged("techniques", "dgn-am")),
    ],
)
def test_a_forged_cursor_is_refused(client: FlaskClient, path: str, cursor: str) -> None:
    assert "/cursor" in refused(client.get(path, query_string={"cursor": cursor}))


@pytest.mark.parametrize(
    ("path", "cursor"),
    [
        (f"/v1/networks/{NETWORK}/layers", forged("layers", 2**31 - 2)),
        (f"/v1/networks/{NETWORK}/layers/output/units", forged("units", 2**31 - 2)),
        ("/v1/visualizations", forged("visualizations", "z", "z", 2**31 - 2, "z")),
        ("/v1/jobs", forged("jobs", "\U0001f600")),
    ],
)
def test_a_cursor_beyond_the_last_row_is_the_end(client: FlaskClient, path: str, cursor: str) -> None:
    answer = client.get(path, query_string={"cursor": cursor})
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["next_cursor"] is None


@pytest.mark.parametrize("prefer", ["wait=abc", "wait", "wait=", "wait=-1", "wait=1.5", "a, wait=٣"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(client: FlaskClient, prefer: str) -> None:
    answer = client.post("/v1/jobs", json=job_body(), headers={"Prefer": prefer.encode().decode("latin-1")})
    assert "wait=30" in refused(answer)["/Prefer"]


@pytest.mark.parametrize("prefer", ["wait=0", "respond-async", 'return=minimal; x="wait=q"', "", "waiting=x"])
def test_other_preferences_are_ignored(client: FlaskClient, prefer: str) -> None:
    assert client.post("/v1/jobs", json=job_body(), headers={"Prefer": prefer}).status_code == 202


@pytest.mark.parametrize("key", ["", "ä", "k" * 256, "a\tb"])
def test_an_idempotency_key_is_printable_ascii(client: FlaskClient, key: str) -> None:
    answer = client.post("/v1/jobs", json=job_body(), headers={"Idempotency-Key": key})
    assert "/Idempotency-Key" in refused(answer)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("application/*;q=0.1", 200),
        ("application/json; charset=utf-8", 200),
        ("text/html, image/gif, *; q=.2, */*; q=.2", 200),
        ("", 200),
        ("text/html", 406),
        ("image/png, text/*", 406),
        ("application/json;q=0, */*", 406),
    ],
)
def test_an_answer_of_a_type_that_is_not_served_is_a_406(
    client: FlaskClient, accept: str, status: int
) -> None:
    answer = client.get("/v1/networks", headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        refused(answer, status=406)
        assert "application/json" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": 'W/"'},
        {"If-None-Match": "\xff, ,"},
        {"If-Match": '"of another state"'},
        {"If-Match": "x"},
        {"If-Modified-Since": "the day before"},
        {"If-Modified-Since": "Sun, 06 Nov 99999 08:49:37 GMT"},
        {"If-Range": '"', "Range": "bytes=9-1"},
        {"Range": "bytes=-99999999999999999999"},
        {"Authorization": "Digest username=\xff"},
        {"Cookie": "a=\xff; ="},
        {"X-Forwarded-For": "\xff"},
    ],
)
def test_conditions_that_mean_nothing_are_ignored(client: FlaskClient, headers: dict[str, str]) -> None:
    answer = client.get(f"/v1/networks/{NETWORK}", headers=headers)
    assert answer.status_code == (401 if "Authorization" in headers else 200)


def test_what_a_client_has_is_unchanged_whatever_else_it_asks(client: FlaskClient) -> None:
    etag = client.get("/v1/networks").headers["ETag"]
    answer = client.get("/v1/networks", headers={"If-None-Match": etag, "If-Match": etag})
    assert (answer.status_code, answer.data) == (304, b"")


@pytest.mark.parametrize("path", ["/v1//jobs", "/v1/networks/a%2F%2Fb", "/v1/jobs//"])
def test_doubled_slashes_are_no_redirect(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers={"Host": "elsewhere.example"})
    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_a_path_that_begins_like_a_host_leads_nowhere_else(client: FlaskClient) -> None:
    # As the path itself: the test's client would take `//v1` for a host.
    answer = client.get("/", environ_overrides={"PATH_INFO": "//v1/jobs"})
    assert answer.status_code == 200
    assert "Location" not in answer.headers
