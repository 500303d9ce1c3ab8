"""`make up` as a person has it: one command that starts everything and leaves nothing behind."""

import hashlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from infra.local.servers import Servers
from infra.local.supervision import member
from services.settings import Settings
from services.storage import ObjectStore, generator_key

ROOT = Path(__file__).resolve().parents[2]


class Run:
    """A command that starts the whole stack, with a folder of its own."""

    def __init__(self, home: Path, *module: str) -> None:
        self.home = home
        self._output = (home / "output").open("w+")
        self.command = subprocess.Popen(
            [sys.executable, "-m", *module, "--home", str(home)],
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @property
    def output(self) -> str:
        return (self.home / "output").read_text()

    def wait_until_up(self) -> tuple[str, str]:
        """Address of the API and the key, as printed."""
        deadline = time.monotonic() + 300
        while not (found := re.search(r"IMAGO_URL=(\S+) IMAGO_API_KEY=(\S+)", self.output)):
            assert self.command.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)
        return found[1], found[2]

    def processes(self) -> list[psutil.Process]:
        """All that runs for this home, with children."""
        roots = [member(self.home, name) for name in ("api", "worker")]
        roots += [server.process for server in Servers(self.home).all]
        found = [process for process in (root.find() for root in roots) if process is not None]
        return found + [child for process in found for child in process.children(recursive=True)]

    def end(self) -> None:
        if self.command.poll() is None:
            self.command.send_signal(signal.SIGTERM)
            self.command.wait(120)
        self._output.close()


@contextmanager
def _running_command(*module: str) -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="imago-run-") as folder:
        Path(folder).chmod(0o711)
        run = Run(Path(folder), *module)
        try:
            yield run
        finally:
            run.end()


@pytest.fixture
def run() -> Iterator[Run]:
    with _running_command("infra.local", "run") as run:
        yield run


def _running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _interrupt(run: Run) -> None:
    run.command.send_signal(signal.SIGINT)


def _kill_the_api(run: Run) -> None:
    member(run.home, "api").kill()


@pytest.mark.parametrize(("end", "code"), [(_interrupt, 0), (_kill_the_api, 1)])
def test_one_command_starts_everything_and_takes_everything_down(
    run: Run, end: Callable[[Run], None], code: int
) -> None:
    url, key = run.wait_until_up()
    request = urllib.request.Request(f"{url}/v1/me", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert set(json.load(answer)["scopes"]) >= {"admin", "jobs:write"}
    processes = run.processes()
    assert len(processes) > 5

    end(run)
    assert run.command.wait(120) == code, run.output
    assert [process for process in processes if _running(process)] == []
    if code:
        assert "api ended" in run.output


def test_the_generator_that_is_shipped_now_is_there_at_once_and_down_ends_it_all_from_another_terminal(
    run: Run,
) -> None:
    url, _ = run.wait_until_up()
    with urllib.request.urlopen(f"{url}/v1/generators", timeout=10) as answer:
        [default] = [found for found in json.load(answer)["data"] if found["is_default"]]
    with (ROOT / "generators" / "default.safetensors").open("rb") as shipped:
        assert default["weights_sha256"] == hashlib.file_digest(shipped, "sha256").hexdigest()
    endpoints = Servers(run.home).endpoints.environment()
    settings = Settings(**{name.removeprefix("IMAGO_").lower(): value for name, value in endpoints.items()})
    assert ObjectStore(settings).has(generator_key(default["weights_sha256"]))

    processes = run.processes()
    down = [sys.executable, "-m", "infra.local", "down", "--home", str(run.home)]
    assert subprocess.run(down, capture_output=True, text=True, check=True).stdout == "Stopped.\n"
    run.command.wait(120)
    assert [process for process in processes if _running(process)] == []


def test_a_benchmark_that_is_told_to_end_leaves_nothing_running() -> None:
    with _running_command("benchmarks.service") as bench:
        deadline = time.monotonic() + 300
        while not member(bench.home, "api").running:
            assert bench.command.poll() is None, bench.output
            assert time.monotonic() < deadline, bench.output
            time.sleep(0.1)
        library = psutil.Process(bench.command.pid).children()
        processes = [*bench.processes(), *library]
        assert len(processes) > 4

        bench.command.send_signal(signal.SIGTERM)
        assert bench.command.wait(120) == 130, bench.output
        assert [process for process in processes if _running(process)] == []
