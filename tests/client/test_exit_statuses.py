"""How commands end: exit statuses and sentences, logins, and what the doctor finds."""

import json
import stat
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

import imago
from imago.cli.commands import connection
from services.access import keys
from services.queue import workers
from tests.client.conftest import NETWORK, Run, Service


def read(text: str) -> Any:
    return json.loads(text)


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_kind_of_error_has_its_exit_status_and_a_sentence(run: Run, service: Service) -> None:
    assert "NETWORK/LAYER/UNITS" in run("submit", "output/3", expect=2).stderr
    assert f"{NETWORK}/output/999-1000: " in run("submit", f"{NETWORK}/output/999-1000", expect=2).stderr
    assert "steps" in run("submit", f"{NETWORK}/output/0", "--steps", "0", expect=2).stderr
    assert "no-such-option" in run("submit", "--no-such-option", expect=2).stderr
    assert "job_missing" in run("job", "job_missing", expect=3).stderr
    assert "imago_" in run("submit", f"{NETWORK}/output/0", expect=4, IMAGO_API_KEY="imago_wrong").stderr
    assert "Connection refused" in run("networks", expect=5, IMAGO_URL="http://127.0.0.1:1").stderr
    assert "http://HOST:PORT" in run("networks", expect=1, IMAGO_URL="nowhere").stderr


def test_errors_for_programs_are_json_on_stderr(run: Run) -> None:
    done = run("submit", f"{NETWORK}/output/1000", "--json", expect=2)
    error = read(done.stderr)["error"]
    assert done.stdout == ""
    assert (error["exit_code"], error["status"]) == (2, 422)
    assert [wrong["pointer"] for wrong in error["errors"]] == ["/targets/0/units"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("submit --no-such-option", "no-such-option"),
        ("nonsense", "nonsense"),
        ("get", "Missing argument"),
        ("jobs --limit many", "valid integer"),
        ("networks add resnet18.a1_in1k --mean 1,2", "three numbers"),
        ("export atl_1 folder --format gif", "gif"),
        ("submit net.a/output/0 --seeds 0-9999999999", "1,000,000"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_json_for_programs(run: Run, command: str, said: str) -> None:
    done = run(*command.split(), "--json", expect=2)
    error = read(done.stderr)["error"]
    assert said in error["message"]
    assert (error["exit_code"], error["status"], done.stdout) == (2, None, "")
    assert said in " ".join(run(*command.split(), expect=2).stderr.split())


def test_help_and_results_are_as_ever_with_json(run: Run) -> None:
    assert "--json" in run("jobs", "--help", "--json").stdout
    assert read(run("--json", "jobs").stdout) == {"data": []}


def test_a_login_is_kept_for_its_owner_alone(run: Run, service: Service, tmp_path: Path) -> None:
    bare = {"IMAGO_URL": "", "IMAGO_API_KEY": ""}
    assert "as a test" in run("login", service.url, "--key", service.key, **bare).stdout
    assert "as a test" in run("--key", service.key, "login", service.url, **bare).stdout
    (kept,) = (tmp_path / "config").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "queued" in run("submit", f"{NETWORK}/output/0", **bare).stdout
    assert "forgotten" in run("logout", **bare).stdout
    assert service.key not in kept.read_text()


def test_a_login_with_a_wrong_key_stores_nothing(run: Run, service: Service, tmp_path: Path) -> None:
    run("--key", "imago_wrong", "login", service.url, expect=4)
    assert not (tmp_path / "config").exists()


def test_the_doctor_finds_what_is_wrong(run: Run, service: Service) -> None:
    report = read(run("doctor", "--json").stdout)
    verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
    assert report["healthy"]
    assert verdicts == {
        "client": "ok",
        "address": "ok",
        "server": "ok",
        "readiness": "ok",
        "key": "ok",
        "workers": "warning",
        "networks": "ok",
    }
    with service.database.session() as session:
        workers.register(session, "vm-1", host="vm", device="cpu")
        workers.seen(session, "vm-1", reason="The object store does not answer.")
    said = run("doctor").stdout
    assert "1 alive" in said
    assert "worker vm-1: waiting: The object store does not answer." in said
    with service.database.session() as session:
        keys.revoke_key(session, service.key.split("_")[1])
    assert "revoked" in run("doctor", expect=4).stdout
    assert "Cannot reach" in run("doctor", expect=5, IMAGO_URL="http://127.0.0.1:1").stdout
    assert "not as imago does" in run("doctor", expect=5, IMAGO_URL=f"{service.url}/v1").stdout


def test_the_doctor_names_where_a_key_comes_from_that_cannot_be_one(run: Run) -> None:
    said = run("doctor", expect=4, IMAGO_API_KEY="imago_\u2026").stdout
    assert "key: The key from IMAGO_API_KEY cannot be one" in said
    assert "\u2026" not in said


@pytest.mark.parametrize("header", [("Location", "/"), ("Content-Encoding", "gzip")])
def test_the_doctor_says_what_is_wrong_with_an_answer(run: Run, header: tuple[str, str]) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if header[0] == "Location" else 200)
            self.send_header(*header)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"none")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            said = run("doctor", expect=5, IMAGO_URL=url).stdout
        finally:
            server.shutdown()
            thread.join()
    assert f"no  server: No answer from {url}" in said


def test_names_that_a_pipe_cannot_hold_end_no_command(
    command_environment: dict[str, str], client: imago.Client, tmp_path: Path
) -> None:
    name = "日本 – \N{CHECK MARK}"
    client.atlases.create(NETWORK, layers=["output"], units="0-3", name=name)
    narrow = {**command_environment, "PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}

    def told(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "imago", *command],
            env=narrow,
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=True,
        )
        return done.stdout.decode("cp1252")

    assert "?? – ?" in told("atlases")
    assert read(told("atlases", "--json"))["data"][0]["name"] == name


def test_where_modes_tell_nothing_the_doctor_says_nothing_of_them(
    run: Run, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "sys", SimpleNamespace(platform="win32", version=sys.version))
    assert "readable" not in run("login", service.url, "--key", service.key).stderr
    (kept,) = (tmp_path / "config").iterdir()
    kept.chmod(0o666)
    assert "stored keys" not in run("doctor").stdout
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "stored keys" in run("doctor").stdout


def test_a_reader_that_goes_away_is_no_error(command_environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m imago techniques | head -n 1",
        shell=True,
        env=command_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "dgn-am\n"
    assert "Traceback" not in done.stderr
