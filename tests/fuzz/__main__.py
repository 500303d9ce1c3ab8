"""`make fuzz`: schemathesis against a whole service whose state is that of the contract's examples.

No worker runs. Each finding is printed with the request that leads to it; the seed makes the same requests
again. Ends with 1 on any finding and if fewer requests were made than asked for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.application import create_app
from api.context import context
from infra.local.servers import running
from services.base.database import migrate
from services.base.settings import Settings
from tests.api.openapi import example_state
from tests.api_process import ApiProcess
from tests.own_settings import own_settings

ROOT = Path(__file__).resolve().parents[2]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
    "ignored_auth",
)
"""All but `positive_data_acceptance`: no schema says which networks there are."""


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="imago-fuzz-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with running(folder / "home", durable=False) as servers:
            servers.postgres.administer("CREATE DATABASE fuzz_template")
            migrate(servers.postgres.url_of("fuzz_template"))
            with own_settings(servers, "fuzz_template") as settings:
                return fuzz(settings, folder, cases=given.cases, seed=given.seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="requests at least (default 5000)")
    parser.add_argument("--seed", type=int, default=1, help="of the requests (default 1)")
    return parser


def fuzz(
    settings: Settings, folder: Path, *, cases: int, seed: int, phases: str = "examples,coverage,fuzzing"
) -> int:
    """Build the state, serve it, let schemathesis loose on it. Returns the exit code."""
    app = create_app(settings)
    needs = context(app)
    needs.store.ensure_bucket()
    admin = example_state.build(app, needs.database, needs.store, folder)
    key = admin.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    needs.close()
    with _served(settings, folder) as url:
        return _run(url, key, folder, cases=cases, seed=seed, phases=phases)


@contextmanager
def _served(settings: Settings, folder: Path) -> Iterator[str]:
    given = {f"IMAGO_{name.upper()}": str(value) for name, value in _plain(settings).items()}
    api = ApiProcess(given, log=folder / "api.log")
    try:
        api.start()
        yield api.url
    finally:
        api.kill()


def _plain(settings: Settings) -> dict[str, object]:
    names = ("database_url", "broker_url", "s3_endpoint_url", "s3_access_key", "s3_secret_key", "s3_bucket")
    found = {name: getattr(settings, name) for name in names}
    return {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else value
        for name, value in found.items()
    }


def _run(url: str, key: str, folder: Path, *, cases: int, seed: int, phases: str) -> int:
    operations = sum(map(len, json.loads((ROOT / "openapi.json").read_text())["paths"].values()))
    report = folder / "report.json"
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(ROOT / "tests/fuzz/fuzz.toml")]
    command += ["run", str(ROOT / "openapi.json"), "--url", url]
    command += ["--header", f"Authorization: Bearer {key}", "--seed", str(seed), "--phases", phases]
    command += ["--checks", ",".join(CHECKS), "--max-examples", str(max(cases // operations, 1))]
    command += ["--mode", "all", "--continue-on-failure", "--generation-database", "none"]
    command += ["--suppress-health-check", "all", "--request-timeout", "60", "--max-redirects", "0"]
    # Streams go on until what they tell of has ended; `tests/api/streams` has them.
    command += ["--exclude-path-regex", "/events$"]
    command += ["--report", "json", "--report-json-path", str(report), "--warnings", "off"]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'engine/src'}",
    }
    done = subprocess.run(command, cwd=folder, env=environment)
    made = _cases(report)
    if done.returncode == 0 and made < cases:
        print(f"only {made} requests were made of {cases}")
    return done.returncode or int(made < cases)


def _cases(report: Path) -> int:
    """How many requests were made and checked."""
    counts = json.loads(report.read_text())["test_cases"]
    return int(counts["generated"]) - int(counts["without_checks"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
