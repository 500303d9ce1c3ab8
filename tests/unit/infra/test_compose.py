"""docker-compose.yml and the Dockerfiles. No engine runs here, so what they promise is read from them."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import resources
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
from jsonschema.validators import validator_for

from infra.local import stack
from services.base.settings import Settings
from tests.unit.infra.compose_file import ROOT, compose, dockerfile, final_stage, ignored

DOCKERFILES = {
    "api": "infra/docker/api.Dockerfile",
    "worker": "infra/docker/worker.Dockerfile",
    "seaweedfs": "infra/docker/seaweedfs.Dockerfile",
}
SERVICES: dict[str, dict[str, Any]] = compose()["services"]
REFERENCE = re.compile(r"(?<!\$)\$\{([A-Z0-9_]+)(:[?-])?([^}]*)\}")


def _validate(content: dict[str, Any]) -> None:
    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text())
    validator_for(schema)(schema).validate(content)


def test_the_file_is_valid_by_the_compose_specification() -> None:
    _validate(compose())


def test_the_schema_would_refuse_a_misspelt_key() -> None:
    wrong = compose()
    wrong["services"]["api"]["helthcheck"] = {}
    with pytest.raises(jsonschema.ValidationError, match="helthcheck"):
        _validate(wrong)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_change_nothing_but_its_data(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "pid", "devices"} & service.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_use_only_so_much(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r"\d+[mg]\b", str(service["mem_limit"]))
    assert int(service["pids_limit"]) <= 1024
    assert re.search(r"\d", str(service["cpus"]))


def test_no_secret_is_an_argument() -> None:
    """Arguments are shown by ps to everybody on the machine."""
    for name, service in SERVICES.items():
        words = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
        assert not re.search("PASSWORD|SECRET|requirepass|_URL", " ".join(map(str, words))), name
    assert "requirepass ${IMAGO_VALKEY_PASSWORD:?" in compose()["configs"]["valkey"]["content"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_runs_as_root(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        image = final_stage(dockerfile(service["build"]["dockerfile"]))
        user = [instruction.text for instruction in image if instruction.name == "USER"][-1]
    else:
        user = service["user"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number, which an orchestrator can check"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_that_stays_up_tells_its_health(name: str) -> None:
    once = SERVICES[name]["restart"].startswith("on-failure")
    check = SERVICES[name]["healthcheck"]
    assert check.get("disable", False) is once
    assert once or check["test"][0] in ("CMD", "CMD-SHELL")


def test_images_are_pinned_to_a_release() -> None:
    for service in SERVICES.values():
        if "build" not in service:
            assert re.search(r":\d+\.\d+\.\d+", service["image"]), service["image"]
    for path in DOCKERFILES.values():
        for instruction in dockerfile(path):
            if instruction.name == "FROM" and "python" in instruction.text:
                assert instruction.text.startswith("python:3.11-slim")


def test_what_waits_for_a_service_waits_for_its_health_or_its_end() -> None:
    for service in SERVICES.values():
        for name, need in service.get("depends_on", {}).items():
            wanted = "service_healthy" if SERVICES[name]["restart"] == "unless-stopped" else None
            assert need["condition"] == (wanted or "service_completed_successfully")


def test_nothing_but_the_api_is_published_and_that_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["${IMAGO_API_ADDRESS:-127.0.0.1:8000}:8000"]}
    assert compose()["networks"]["servers"] == {"internal": True}
    for name in ("postgres", "valkey", "seaweedfs"):
        assert SERVICES[name]["networks"] == ["servers"]


def test_the_api_can_be_told_which_proxy_before_it_to_believe() -> None:
    told = SERVICES["api"]["environment"]["FORWARDED_ALLOW_IPS"]
    assert told == "${FORWARDED_ALLOW_IPS:-127.0.0.1,::1}"


@pytest.mark.parametrize("name", ["api", "migrate", "worker-cpu", "worker-gpu"])
def test_a_proxy_of_dockers_client_is_not_asked_for_the_store(name: str) -> None:
    environment = SERVICES[name]["environment"]
    store = urlsplit(environment["IMAGO_S3_ENDPOINT_URL"]).hostname
    for variable in ("no_proxy", "NO_PROXY"):
        listed = REFERENCE.sub(lambda reference: reference[3], environment[variable]).split(",")
        assert {store, "127.0.0.1", "localhost"} <= set(listed)


@pytest.mark.parametrize("image", ["api", "seaweedfs"])
def test_a_health_check_asks_no_proxy(image: str) -> None:
    (built,) = [one for one in final_stage(dockerfile(DOCKERFILES[image])) if one.name == "HEALTHCHECK"]
    composed = SERVICES[image]["healthcheck"]["test"]
    assert json.loads(built.text.partition("CMD ")[2]) == composed[1:]

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        answering = Thread(target=server.serve_forever)
        answering.start()
        program = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{server.server_port}", composed[-1])
        environment = {**os.environ, "http_proxy": "http://127.0.0.1:1", "no_proxy": "", "NO_PROXY": ""}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
        server.shutdown()
        answering.join()
    assert done.returncode == 0, done.stderr


def test_the_worker_runs_on_cpus_or_on_a_gpu_by_profile() -> None:
    cpu, gpu = SERVICES["worker-cpu"], SERVICES["worker-gpu"]
    assert (cpu["profiles"], gpu["profiles"]) == (["cpu"], ["gpu"])
    assert cpu["build"]["args"] == {"ACCELERATOR": "cpu"}
    assert gpu["build"]["args"] == {"ACCELERATOR": "gpu"}
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    stages = [one.text.split(" AS ")[-1] for one in dockerfile(DOCKERFILES["worker"]) if one.name == "FROM"]
    assert stages[-3:] == ["cpu", "gpu", "${ACCELERATOR}"]


def test_every_variable_has_a_default_or_stops_with_a_word_about_it() -> None:
    found = REFERENCE.findall((ROOT / "docker-compose.yml").read_text())
    assert found
    for name, operator, text in found:
        assert operator, f"{name} would silently be empty"
        assert operator == ":-" or "infra/docker/env.example" in text
    example = (ROOT / "infra/docker/env.example").read_text()
    required = {name for name, operator, _ in found if operator == ":?"}
    assert required == set(re.findall(r"^([A-Z0-9_]+)=$", example, flags=re.MULTILINE))
    assert {name for name, _, _ in found} - required <= set(re.findall(r"^#([A-Z0-9_]+)=", example, re.M))


def test_no_secret_is_written_down() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|_AUTH|_URL$", variable) and "ENDPOINT" not in variable:
                assert REFERENCE.search(value), f"{variable} of {name}"
    assert ignored(".env")
    assert ".env" in (ROOT / ".gitignore").read_text().split()


@pytest.mark.parametrize("name", ["api", "migrate", "worker-cpu", "worker-gpu"])
def test_the_settings_of_our_containers_are_settings_that_the_code_reads(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = SERVICES[name]["environment"]
    known = {f"IMAGO_{field}".upper() for field in Settings.model_fields}
    assert set(environment) - known <= {"NO_PROXY", "no_proxy", "FORWARDED_ALLOW_IPS"}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, REFERENCE.sub(lambda m: m[3] if m[2] == ":-" else "secret", value))
    settings = Settings()
    assert settings.database_url == "postgresql+psycopg://imago:secret@postgres:5432/imago"


def test_the_stores_keys_are_those_that_our_containers_use() -> None:
    content = REFERENCE.sub("secret", compose()["configs"]["s3-identities"]["content"])
    (identity,) = json.loads(content)["identities"]
    (credentials,) = identity["credentials"]
    assert credentials["accessKey"] == SERVICES["api"]["environment"]["IMAGO_S3_ACCESS_KEY"]
    assert credentials["secretKey"] == "secret"


def test_the_store_syncs_every_object_before_it_answers() -> None:
    assert "-fsync -apply" in SERVICES["seaweedfs-fsync"]["command"][-1]
    for name in ("api", "worker-cpu", "worker-gpu"):
        assert "seaweedfs-fsync" in SERVICES[name]["depends_on"]


def test_the_store_has_the_options_of_the_embedded_one() -> None:
    (command,) = [one.words for one in dockerfile(DOCKERFILES["seaweedfs"]) if one.name == "CMD"]
    embedded = (ROOT / "infra/local/seaweedfs.py").read_text()
    for option in command[1:]:
        name = option.split("=")[0]
        if name not in ("server", "-s3.ip.bind"):  # who may reach it is each one's own
            assert f'{name}"' in embedded or f"{name}=" in embedded, f"{name} is not used by `make up`"
    for option in ("-master.telemetry=false", "-master.peers=none", "-ip.bind=127.0.0.1"):
        assert option in command


@pytest.mark.parametrize(
    ("image", "requirements"),
    [("api", "api.txt"), ("worker", "worker.txt"), ("seaweedfs", "store.txt")],
)
def test_an_image_installs_what_is_locked_and_make_installs(image: str, requirements: str) -> None:
    text = (ROOT / DOCKERFILES[image]).read_text()
    installs = re.findall(r"pip install (.*)", text)
    assert installs
    assert all(install.startswith("--require-hashes -r ") for install in installs)
    assert f"requirements/{requirements}" in text
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text), "no registry is named"
    pins = _pins("dev.txt")
    assert _pins(requirements) <= pins, "the tests run on other releases than the image"


def _pins(name: str) -> set[str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return {line.split(" ")[0] for line in lines if re.match(r"[a-z0-9].*==", line)}


def test_what_builds_the_client_is_locked() -> None:
    """`make` installs the client without build isolation, so that nothing unlocked is downloaded for it."""
    project = tomllib.loads((ROOT / "client/pyproject.toml").read_text())
    needed = {re.split(r"[<>=~ ]", need)[0] for need in project["build-system"]["requires"]}
    if "hatchling" in needed:
        needed.add("editables")  # what hatchling asks for when the install is editable
    assert needed <= {pin.split("==")[0] for pin in _pins("dev.txt")}


def test_make_installs_with_hashes_too() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"--require-hashes (--no-\w+ )*-r requirements/dev.txt", makefile)
    for name in ("api", "worker", "dev", "store"):
        assert f"-o requirements/{name}.txt" in makefile


@pytest.mark.parametrize("name", ["api", "worker", "dev", "store"])
def test_a_lock_has_a_hash_for_every_release_and_names_no_registry(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links|@ ", text)


def test_the_images_that_serve_have_no_torch() -> None:
    for name in ("api", "store"):
        assert not {pin for pin in _pins(f"{name}.txt") if pin.startswith(("torch", "nvidia", "timm"))}


def test_containers_start_what_make_up_starts() -> None:
    commands = {
        image: [one.words for one in final_stage(dockerfile(path)) if one.name == "CMD"][-1]
        for image, path in DOCKERFILES.items()
    }
    assert commands["api"] == ["python", "-m", *stack.API]
    assert commands["worker"] == ["python", "-m", *stack.WORKER]
    assert SERVICES["migrate"]["command"] == ["python", "-m", "migrations"]
    assert "command" not in SERVICES["api"]
    assert "command" not in SERVICES["worker-cpu"]


@pytest.mark.parametrize(
    ("image", "program"),
    [
        (
            "api",
            "import api, infra.keys, migrations, alembic.config; from services.base.database import migrate",
        ),
        (
            "worker",
            "import worker.process.app, worker.process.tasks, "
            "imago_engine.synthesis, infra.docker.worker_health",
        ),
    ],
)
def test_an_image_holds_all_that_its_command_imports(image: str, program: str, tmp_path: Path) -> None:
    for instruction in final_stage(dockerfile(DOCKERFILES[image])):
        if instruction.name == "COPY" and not any(flag.startswith("--from") for flag in instruction.flags):
            source, target = instruction.words
            assert not ignored(source), f".dockerignore keeps {source} out"
            assert not Path(target).is_absolute()
            _copy(ROOT / source, tmp_path / target, into=target.endswith("/"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _copy(source: Path, target: Path, *, into: bool) -> None:
    if source.is_dir():
        shutil.copytree(
            source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors")
        )
    else:
        target = target / source.name if into or target.is_dir() else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def test_the_build_context_holds_neither_data_nor_secrets_nor_history() -> None:
    for path in (
        ".git",
        ".imago/servers.json",
        ".venv/bin/python",
        "tests/conftest.py",
        "infra/local/stack.py",
    ):
        assert ignored(path)
    for path in (
        "services/jobs/jobs.py",
        "requirements/api.txt",
        "infra/keys.py",
        "engine/src/imago_engine/weights/default.safetensors",
    ):
        assert not ignored(path)
    assert ignored("services/__pycache__")
