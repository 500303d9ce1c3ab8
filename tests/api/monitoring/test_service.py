"""What operators and tools see of the API: its health, figures, contract, and what its process loads."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import structlog
from flask.testing import FlaskClient

from api.application import build
from api.openapi.document import canonical, document
from imago_engine.version import __version__
from services.base.settings import Settings
from tests.api.conftest import Start
from tests.api.small_catalog import job_body

ROOT = Path(__file__).resolve().parents[3]


def test_the_process_is_healthy_whatever_is_away(start: Start) -> None:
    nothing = start(
        database_url="postgresql+psycopg://nobody@127.0.0.1:1/none",
        broker_url="redis://127.0.0.1:1/0",
        s3_endpoint_url="http://127.0.0.1:1",
    )
    assert nothing.test_client().get("/healthz").status_code == 200


def test_readiness_names_each_server_that_answers(anonymous: FlaskClient) -> None:
    answer = anonymous.get("/readyz")
    assert answer.status_code == 200
    checks = answer.get_json()["checks"]
    assert set(checks) == {"database", "broker", "store"}
    assert all(check["ok"] for check in checks.values())


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({"database_url": "postgresql+psycopg://nobody@127.0.0.1:1/none"}, "database"),
        ({"broker_url": "redis://127.0.0.1:1/0"}, "broker"),
        ({"s3_endpoint_url": "http://127.0.0.1:1"}, "store"),
        ({"s3_bucket": "no-such-bucket"}, "store"),
    ],
)
def test_readiness_fails_for_the_one_server_that_is_away(
    start: Start, changes: dict[str, str], absent: str
) -> None:
    answer = start(**changes).test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    checks = answer.get_json()["checks"]
    assert [name for name, check in checks.items() if not check["ok"]] == [absent]
    assert checks[absent]["detail"]
    assert absent in answer.get_json()["detail"]
    # Anyone may ask; where the servers are is the operator's, who finds it in the log.
    assert not {"127.0.0.1", "port", "no-such-bucket", "nobody"} & set(re.findall(r"[\w.-]+", answer.text))


def test_a_database_that_was_not_migrated_is_not_ready(start: Start, settings: Settings) -> None:
    # Every PostgreSQL has this one, and nobody migrates it.
    empty = settings.database_url.rsplit("/", 1)[0] + "/template1"
    answer = start(database_url=empty).test_client().get("/readyz")
    assert answer.status_code == 503
    assert "schema" in answer.get_json()["checks"]["database"]["detail"]


def test_a_request_while_the_database_is_away_is_a_503_problem(start: Start) -> None:
    away = start(database_url="postgresql+psycopg://nobody@127.0.0.1:1/none").test_client()
    answer = away.get("/v1/networks")
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.get_json()["detail"] == "The database does not answer."
    assert away.get("/metrics").status_code == 200


def test_metrics_count_requests_by_route_and_the_queue_by_lane(client: FlaskClient, network: str) -> None:
    client.post("/v1/jobs", json=job_body("0-2"))
    client.get(f"/v1/networks/{network}")
    text = client.get("/metrics").text
    assert 'imago_queue_items{lane="interactive"} 3.0' in text
    assert 'imago_queue_items{lane="bulk"} 0.0' in text
    assert 'route="/v1/networks/<network>",status="200"' in text
    assert network not in text  # a label for each name would make a time series for each
    assert "imago_http_request_seconds_bucket" in text


def test_a_bug_is_a_500_problem_without_its_details(
    monkeypatch: pytest.MonkeyPatch, anonymous: FlaskClient
) -> None:
    def broken(session: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("services.queue.workers.queue", broken)
    with structlog.testing.capture_logs() as events:
        answer = anonymous.get("/v1/queue")
    assert answer.status_code == 500
    assert answer.mimetype == "application/problem+json"
    assert "secret" not in answer.text
    assert answer.get_json()["request_id"] == answer.headers["X-Request-Id"]
    assert "request_failed" in [event["event"] for event in events]


def test_a_request_keeps_the_id_that_it_came_with_and_is_logged_once(anonymous: FlaskClient) -> None:
    with structlog.testing.capture_logs() as events:
        answer = anonymous.get("/v1/techniques", headers={"X-Request-Id": "trace-0123456789"})
    assert answer.headers["X-Request-Id"] == "trace-0123456789"
    (event,) = [event for event in events if event["event"] == "http_request"]
    assert (event["method"], event["route"], event["status"]) == ("GET", "/v1/techniques", 200)
    forged = anonymous.get("/v1/techniques", headers={"X-Request-Id": "a b"})
    assert forged.headers["X-Request-Id"].startswith("req_")


@pytest.mark.parametrize(
    ("log_format", "level"), [("console", "debug"), ("json", "info")], ids=["for people", "for machines"]
)
def test_reads_that_succeed_are_for_machines_and_the_rest_is_for_people_too(
    start: Start, log_format: str, level: str
) -> None:
    client = start(log_format=log_format).test_client()
    with structlog.testing.capture_logs() as events:
        client.get("/v1/techniques")
        client.head("/v1/techniques")
        client.get("/v1/networks/none")
        client.post("/v1/jobs", json={})
    logged = [(e["method"], e["status"], e["log_level"]) for e in events if e["event"] == "http_request"]
    assert logged == [
        ("GET", 200, level),
        ("HEAD", 200, level),
        ("GET", 404, "info"),
        ("POST", 401, "info"),
    ]


def test_the_committed_contract_is_what_the_code_serves(anonymous: FlaskClient) -> None:
    committed = (ROOT / "openapi.json").read_text()
    assert committed == canonical(document(build())), (
        "run `make openapi` and commit openapi.json with the code"
    )
    assert anonymous.get("/openapi.json").text == committed


def test_every_operation_of_the_contract_can_fail_only_by_a_problem() -> None:
    made = document(build())
    names = [operation["operationId"] for path in made["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)
    for path in made["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    slug = response["$ref"].rpartition("/")[2]
                    content = made["components"]["responses"][slug]["content"]
                    assert list(content) == ["application/problem+json"]
            assert operation["security"]


def test_every_reference_in_the_contract_leads_somewhere() -> None:
    made = document(build())
    text = json.dumps(made)
    schemas = made["components"]["schemas"]
    for piece in text.split('"#/components/schemas/')[1:]:
        assert piece.split('"', 1)[0] in schemas
    for piece in text.split('"#/components/responses/')[1:]:
        assert piece.split('"', 1)[0] in made["components"]["responses"]
    assert '"#/$defs/' not in json.dumps(made["paths"])


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/v1/networks", "NetworkPage"),
        ("/v1/networks/small.random", "Network"),
        ("/v1/networks/small.random/layers", "LayerPage"),
        ("/v1/networks/small.random/layers/output/units", "UnitPage"),
        ("/v1/networks/small.random/layers/output/units/1", "UnitDetail"),
        ("/v1/generators", "GeneratorPage"),
        ("/v1/techniques", "TechniquePage"),
        ("/v1/presets", "PresetPage"),
        ("/v1/jobs", "JobPage"),
        ("/v1/visualizations", "ItemPage"),
        ("/v1/queue", "Queue"),
        ("/v1/me", "Me"),
        ("/v1/networks/none.such", "ProblemDocument"),
        ("/v1/jobs?limit=0", "ProblemDocument"),
    ],
)
@pytest.mark.usefixtures("network")
def test_answers_have_the_shape_that_the_contract_promises(
    client: FlaskClient, path: str, schema: str
) -> None:
    client.post("/v1/jobs", json=job_body())
    components = document(build())["components"]
    jsonschema.validate(
        client.get(path).get_json(), {"$ref": f"#/components/schemas/{schema}", "components": components}
    )


def test_the_version_is_that_of_the_distribution(anonymous: FlaskClient) -> None:
    assert anonymous.get("/").get_json()["version"] == __version__


def test_every_link_of_the_entrance_leads_somewhere(client: FlaskClient) -> None:
    links = client.get("/").get_json()["links"]
    assert {path: client.get(path).status_code for name, path in links.items() if name != "keys"} == {
        path: 200 for name, path in links.items() if name != "keys"
    }


def test_the_api_process_loads_neither_torch_nor_the_worker() -> None:
    code = """
import sys
from api import create_app
from services.base.settings import Settings
app = create_app(Settings(database_url="postgresql://u@127.0.0.1:1/d", broker_url="redis://127.0.0.1:1/0",
    s3_endpoint_url="http://127.0.0.1:1", s3_access_key="a", s3_secret_key="b"))
assert app.test_client().get("/healthz").status_code == 200
print([name for name in sys.modules if name.split(".")[0] in {"torch", "torchvision", "timm", "worker"}])
"""
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert process.stdout.strip() == "[]", process.stderr
