"""Pages of other origins: what a browser lets them do is what these headers say."""

import pytest
from flask.testing import FlaskClient

from services.base.database import Database
from services.base.settings import Settings, SettingsError
from tests.api.conftest import Start
from tests.api.small_catalog import NETWORK, job_body, with_key

pytestmark = pytest.mark.usefixtures("network")

LAB = "https://lab.example.org"
OTHER = "https://other.example.org"
ALLOWING = tuple(
    f"Access-Control-{name}" for name in ("Allow-Origin", "Allow-Methods", "Allow-Headers", "Expose-Headers")
)


def words(header: str) -> set[str]:
    return {word.strip().lower() for word in header.split(",")}


@pytest.fixture
def open_to_lab(start: Start) -> FlaskClient:
    return start(cors_origins=(LAB, "http://localhost:3000")).test_client()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/jobs"),
        ("POST", "/v1/jobs/job_x/cancel"),
        ("POST", "/v1/networks"),
        ("DELETE", "/v1/keys/abc"),
        ("GET", f"/v1/networks/{NETWORK}"),
    ],
)
@pytest.mark.parametrize("origin", [LAB, "http://localhost:3000"])
def test_a_preflight_of_a_named_origin_allows_keys_and_writes(
    open_to_lab: FlaskClient, method: str, path: str, origin: str
) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,prefer,if-none-match",
    }
    answer = open_to_lab.options(path, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert method.lower() in words(answer.headers["Access-Control-Allow-Methods"])
    wanted = words(asked["Access-Control-Request-Headers"])
    assert wanted <= words(answer.headers["Access-Control-Allow-Headers"])
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("origin", [OTHER, "https://lab.example.org.evil.org", "null", f"{LAB}:8443"])
def test_a_preflight_of_any_other_origin_allows_nothing(open_to_lab: FlaskClient, origin: str) -> None:
    for method in ("POST", "GET"):
        asked = {"Origin": origin, "Access-Control-Request-Method": method}
        answer = open_to_lab.options("/v1/jobs", headers=asked)
        assert not [name for name in ALLOWING if name in answer.headers]


def test_no_origin_is_named_unless_a_setting_does(anonymous: FlaskClient) -> None:
    answer = anonymous.options("/v1/jobs", headers={"Origin": LAB, "Access-Control-Request-Method": "POST"})
    assert not [name for name in ALLOWING if name in answer.headers]


def test_a_page_of_a_named_origin_submits_and_reads_the_headers_it_needs(
    start: Start, database: Database
) -> None:
    client = with_key(start(cors_origins=(LAB,)), database, "read", "jobs:write")
    submitted = client.post("/v1/jobs", json=job_body(), headers={"Origin": LAB})
    read = client.get(submitted.headers["Location"], headers={"Origin": LAB})
    refused = client.post("/v1/jobs", json={}, headers={"Origin": LAB})
    for answer, status in ((submitted, 202), (read, 200), (refused, 422)):
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == LAB
        assert "Origin" in answer.headers["Vary"]
        exposed = words(answer.headers["Access-Control-Expose-Headers"])
        assert {"etag", "location", "retry-after", "link", "x-request-id", "content-range"} <= exposed
    assert "Prefer" in read.headers["Vary"]
    # With a key, a page of any other origin gets nothing to read.
    for answer in (
        client.get(submitted.headers["Location"], headers={"Origin": OTHER}),
        client.post("/v1/jobs", json=job_body(), headers={"Origin": OTHER}),
    ):
        assert not [name for name in ALLOWING if name in answer.headers]


def test_what_anyone_may_read_may_be_embedded_anywhere(open_to_lab: FlaskClient) -> None:
    for headers, allowed in (({}, "*"), ({"Origin": OTHER}, "*"), ({"Origin": LAB}, LAB)):
        answer = open_to_lab.get("/v1/networks", headers=headers)
        assert answer.headers["Access-Control-Allow-Origin"] == allowed
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.mark.parametrize(
    "origins", ["*", "lab.example.org", f"{LAB}/", f"{LAB}/app", "null", "https://Lab.org"]
)
def test_what_is_no_origin_is_refused_at_the_start(settings: Settings, origins: str) -> None:
    with pytest.raises(SettingsError, match=r"IMAGO_CORS_ORIGINS: .*https://lab\.example\.org"):
        Settings(**{**settings.model_dump(), "cors_origins": origins})


def test_origins_are_read_with_commas_between_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGO_CORS_ORIGINS", f"{LAB}, http://localhost:3000,")
    values = settings.model_dump(exclude={"cors_origins"})
    assert Settings(**values).cors_origins == (LAB, "http://localhost:3000")
