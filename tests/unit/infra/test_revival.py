import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from infra.local.processes import revival
from infra.local.processes.process import Process
from infra.local.processes.revival import Revival
from tests.unit.infra.sleeper import SLEEP, WITH_CHILD, sleeper

FAILS = [sys.executable, "-c", "import sys; sys.exit('no disk')"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = sleeper(tmp_path)
    yield process
    process.kill()
    process.clear()


def _tend_until(revival: Revival, lines: list[str], count: int) -> None:
    deadline = time.monotonic() + 60
    while len(lines) < count or not (revival.process.running or count > 1):
        assert time.monotonic() < deadline, lines
        revival.tend()
        time.sleep(0.01)


def test_what_is_killed_is_started_again_with_the_reason(process: Process, tmp_path: Path) -> None:
    start = partial(process.spawn, SLEEP, folder=tmp_path)
    start()
    before, lines = process.pid, list[str]()
    process.send(signal.SIGKILL)
    _tend_until(Revival(process, start, lines.append), lines, 1)
    assert process.pid not in (None, before)
    assert lines == ["sleeper was ended by SIGKILL; it is started again in 0.4 s"]


def test_what_ends_again_and_again_waits_longer_each_time(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revival, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(revival, "LONGEST_SECONDS", 0.05)
    start, lines = partial(process.spawn, FAILS, folder=tmp_path), list[str]()
    start()
    _tend_until(Revival(process, start, lines.append), lines, 4)
    assert all(line.startswith("sleeper ended with code 1 (no disk; see ") for line in lines)
    assert [float(line.split()[-2]) for line in lines] == [0.0, 0.0, 0.1, 0.1]


def test_a_start_takes_along_what_a_killed_process_left_behind(process: Process, tmp_path: Path) -> None:
    process.spawn(WITH_CHILD, folder=tmp_path)
    deadline = time.monotonic() + 60
    while not process.log.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = psutil.Process(int(process.log.read_text()))
    process.send(signal.SIGKILL)
    while process.running:
        time.sleep(0.02)
    assert child.is_running()
    process.spawn(SLEEP, folder=tmp_path)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_whose_command_was_killed_is_an_orphan(process: Process, tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom infra.local.processes.process import Process\n"
        "folder = Path(sys.argv[1])\n"
        "process = Process('sleeper', folder / 'run' / 'sleeper.json', folder / 'logs' / 'sleeper.log')\n"
        f"process.owned = True\nprocess.spawn({SLEEP!r}, folder=folder)\ntime.sleep(600)"
    )
    owner = Process("owner", tmp_path / "run" / "owner.json", tmp_path / "logs" / "owner.log")
    owner.spawn([sys.executable, "-c", program, tmp_path], folder=Path.cwd())
    deadline = time.monotonic() + 60
    while not process.running:
        assert time.monotonic() < deadline, owner.tail()
        time.sleep(0.02)
    assert not process.orphaned
    owner.send(signal.SIGKILL)
    assert owner.wait(30)
    assert process.orphaned
