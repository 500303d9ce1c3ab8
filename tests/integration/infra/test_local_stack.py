"""`make up` as a person has it: one command that starts everything and leaves nothing behind."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from imago import Client, ImagoError, Job
from infra.local.processes.process import Process
from infra.local.processes.supervision import member
from infra.local.servers import Servers
from infra.local.stack import processes_of
from services.base.settings import Settings
from services.base.storage import ObjectStore, generator_key
from tests import small_world

_UNPROXIED = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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
        (Path(folder) / "api_port").touch()  # as a full disk may have left it
        run = Run(Path(folder), *module)
        try:
            yield run
        finally:
            run.end()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`make up`, with a generator whose pictures take milliseconds, where the proxy that the environment
    names does not answer: nobody is to ask it for this machine's own addresses."""
    monkeypatch.setenv("IMAGO_GENERATOR_PATH", str(small_world.write_generator(tmp_path)))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with _running_command("infra.local", "run") as run:
        yield run


def _down(home: Path) -> str:
    """What `make down` says."""
    command = [sys.executable, "-m", "infra.local", "down", "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_one_command_starts_everything_and_takes_everything_down(run: Run) -> None:
    url, key = run.wait_until_up()
    request = urllib.request.Request(f"{url}/v1/me", headers={"Authorization": f"Bearer {key}"})
    with _UNPROXIED.open(request, timeout=10) as answer:
        assert set(json.load(answer)["scopes"]) >= {"admin", "jobs:write"}
    processes = run.processes()
    assert len(processes) > 5

    run.command.send_signal(signal.SIGINT)
    assert run.command.wait(120) == 0, run.output
    assert [process for process in processes if _running(process)] == []


def _refused(home: Path, *command: str) -> str:
    """What is said where a command cannot do its work."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.local", *command, "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_folder_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"{tmp_path}/file/home cannot be written" in _refused(tmp_path / "file" / "home", "up")
    (tmp_path / "servers.json").write_text("{")
    for command in ("run", "down", "status"):
        assert f"{tmp_path}/servers.json is damaged" in _refused(tmp_path, command)


@pytest.mark.thorough
def test_whatever_is_killed_comes_back_and_jobs_end(run: Run) -> None:
    url, key = run.wait_until_up()
    roots = {process.name: process for process in processes_of(Servers(run.home))}
    with Client(url, key=key) as client:
        client.wait_for_network("efficientnet_lite0.imagenet", timeout=300)
        for unit, (name, root) in enumerate(roots.items()):
            killed = root.find()
            assert killed is not None
            left = killed.children(recursive=True)
            killed.kill()  # it alone, as the kernel does when memory runs out
            _wait(partial(_is_another, root, killed.pid), f"{name} to come back", run)
            assert [process.pid for process in left if name == "postgres" and _running(process)] == []
            assert f"{name} was ended by SIGKILL; it is started again" in run.output
            if name in ("seaweedfs", "worker"):  # the last of the servers and of ours
                _submit_and_wait(client, unit, run)
    # What a person sees is what happens, not each look at it, nor warnings that are of no use.
    requests = [line for line in run.output.splitlines() if "http_request" in line]
    assert any("method=POST" in line for line in requests)
    assert [line for line in requests if "method=GET" in line and "status=200" in line] == []
    assert "SecurityWarning" not in run.output
    again = {name: root.pid for name, root in roots.items()}
    status = subprocess.run(
        [sys.executable, "-m", "infra.local", "status", "--home", str(run.home)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split() for line in status.stdout.splitlines()] == [
        [name, "running,", "pid", str(pid)] for name, pid in again.items()
    ]


def _is_another(root: Process, pid: int) -> bool:
    return root.pid not in (None, pid)


def _wait(condition: Callable[[], bool], what: str, run: Run, timeout: float = 240) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert run.command.poll() is None, run.output
        assert time.monotonic() < deadline, f"waited for {what}: {run.output}"
        time.sleep(0.5)


def _submit_and_wait(client: Client, unit: int, run: Run) -> None:
    """A job that is submitted as soon as the API answers again ends with its picture."""

    def submitted() -> bool:
        try:
            jobs.append(client.submit("efficientnet_lite0.imagenet", {"output": [unit]}))
        except ImagoError:
            return False
        return True

    def ended() -> bool:
        try:
            jobs[0].refresh()
        except ImagoError:
            return False
        return bool(jobs[0].units.done + jobs[0].units.failed)

    jobs: list[Job] = []
    _wait(submitted, "the submission", run)
    _wait(ended, "the picture", run)
    assert jobs[0].units.done == 1, run.output


@pytest.mark.thorough
def test_what_a_killed_command_left_is_ended_by_the_next_and_by_down(run: Run) -> None:
    run.wait_until_up()
    first = run.processes()
    run.command.kill()
    run.command.wait(60)
    postmaster = Servers(run.home).postgres.process.find()
    assert postmaster is not None
    postmaster.kill()
    # Its number is another process's by now, as happens where many processes come and go.
    lock = run.home / "postgres" / "data" / "postmaster.pid"
    lock.write_text("\n".join([str(os.getpid()), *lock.read_text().splitlines()[1:], ""]))

    again = Run(run.home, "infra.local", "run")
    try:
        again.wait_until_up()
        assert [process for process in first if _running(process)] == []
        second = again.processes()
        again.command.kill()
        again.command.wait(60)
        assert _down(run.home) == "Stopped.\n"
        assert [process for process in second if _running(process)] == []
        assert _down(run.home) == "Nothing was running.\n"
    finally:
        again.end()


@pytest.mark.thorough
def test_the_generator_that_is_shipped_now_is_there_at_once_and_down_ends_it_all_from_another_terminal(
    run: Run,
) -> None:
    url, _ = run.wait_until_up()
    with _UNPROXIED.open(f"{url}/v1/generators", timeout=10) as answer:
        [default] = [found for found in json.load(answer)["data"] if found["is_default"]]
    with Path(os.environ["IMAGO_GENERATOR_PATH"]).open("rb") as shipped:
        assert default["weights_sha256"] == hashlib.file_digest(shipped, "sha256").hexdigest()
    endpoints = Servers(run.home).endpoints.environment()
    settings = Settings(**{name.removeprefix("IMAGO_").lower(): value for name, value in endpoints.items()})
    assert ObjectStore(settings).has(generator_key(default["weights_sha256"]))

    processes = run.processes()
    assert _down(run.home) == "Stopped.\n"
    run.command.wait(120)
    assert [process for process in processes if _running(process)] == []


@pytest.mark.thorough
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
