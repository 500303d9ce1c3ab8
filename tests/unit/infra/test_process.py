import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.local.processes.process import Process
from tests.unit.infra.sleeper import SLEEP, WITH_CHILD, sleeper

DEAF = [
    sys.executable,
    "-c",
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('deaf', flush=True)\n"
    "time.sleep(600)",
]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = sleeper(tmp_path)
    yield process
    process.kill()


def _wait_for_output(process: Process) -> str:
    deadline = time.monotonic() + 30
    while not (process.log.exists() and process.log.read_text().endswith("\n")):
        assert time.monotonic() < deadline, "the process said nothing"
        time.sleep(0.02)
    return process.log.read_text().strip()


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_another_object_on_the_same_record_finds_and_ends_the_process(
    process: Process, tmp_path: Path
) -> None:
    process.spawn(SLEEP, folder=tmp_path)
    found = sleeper(tmp_path)
    assert found.pid == process.pid
    found.end(signal.SIGTERM, timeout=10)
    assert not process.running
    assert not process.record.exists()


def test_a_process_that_has_our_pid_by_chance_is_not_taken_for_ours(process: Process, tmp_path: Path) -> None:
    process.spawn(SLEEP, folder=tmp_path)
    other = sleeper(tmp_path / "other")
    other.record.parent.mkdir(parents=True)
    identity = json.loads(process.record.read_text())
    other.record.write_text(json.dumps({"pid": identity["pid"], "started": identity["started"] - 3600}))
    assert not other.running
    other.end(signal.SIGKILL, timeout=1)
    other.kill()
    assert process.running


def test_a_kill_takes_the_children_along(process: Process, tmp_path: Path) -> None:
    process.spawn(WITH_CHILD, folder=tmp_path)
    child = int(_wait_for_output(process))
    process.kill()
    assert not process.running
    assert _gone(child)


def test_an_orderly_end_takes_the_children_along(process: Process, tmp_path: Path) -> None:
    process.spawn(WITH_CHILD, folder=tmp_path)
    child = int(_wait_for_output(process))
    process.end(signal.SIGTERM, timeout=10)
    assert _gone(child)


def test_what_does_not_listen_to_the_signal_is_killed(process: Process, tmp_path: Path) -> None:
    process.spawn(DEAF, folder=tmp_path)
    _wait_for_output(process)
    process.end(signal.SIGTERM, timeout=0.2)
    assert not process.running
    assert process.exit_code == -signal.SIGKILL


def test_the_end_of_the_log_is_at_hand_for_an_error(process: Process, tmp_path: Path) -> None:
    process.spawn([sys.executable, "-c", "for i in range(100): print('line', i)"], folder=tmp_path)
    assert process.wait(30)
    assert process.exit_code == 0
    assert process.tail(lines=2) == "line 98\nline 99"
