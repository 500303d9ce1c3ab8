import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.processes.process import ProcessError
from infra.local.processes.supervision import Group, member

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    group = Group(tmp_path, folder=tmp_path, environment={"GREETING": "hello"})
    yield group
    group.stop()


def test_all_end_together(group: Group) -> None:
    processes = [group.start("one", SLEEP), group.start("two", SLEEP)]
    group.check()
    group.stop()
    assert not any(process.running for process in processes)


def test_the_death_of_one_is_told_with_the_end_of_its_log(group: Group) -> None:
    group.start("one", SLEEP)
    group.start("two", [sys.executable, "-c", "import sys; sys.exit('no database')"])
    with pytest.raises(ProcessError, match=r"(?s)two ended with code 1\..*no database"):
        group.wait_until(lambda: False, "nothing", timeout=30)


def test_waiting_for_what_never_comes_ends_and_names_the_logs(group: Group) -> None:
    group.start("one", SLEEP)
    with pytest.raises(ProcessError, match=r"the API took longer than 0 s\. See .*one\.log"):
        group.wait_until(lambda: False, "the API", timeout=0.1)


def test_what_another_command_has_started_is_used_and_left_running(group: Group, tmp_path: Path) -> None:
    theirs = group.start("one", SLEEP)
    ours = Group(tmp_path, folder=tmp_path, environment={})
    assert ours.start("one", SLEEP).pid == theirs.pid
    ours.stop()
    assert theirs.running
    assert member(tmp_path, "one").running


def test_the_logs_are_shown_with_the_name_before_each_line(group: Group, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "speaker.log"
    log.parent.mkdir()
    log.write_text("from the last time\n")
    speaker = group.start("speaker", [sys.executable, "-c", "import os; print(os.environ['GREETING'])"])
    assert speaker.wait(30)
    shown: list[str] = []
    with pytest.raises(ProcessError, match="speaker ended with code 0"):
        group.follow(shown.append)
    assert shown == ["speaker │ hello\n"]


def test_ends_are_waited_for_side_by_side(group: Group) -> None:
    slow = "import signal, time, sys\n"
    slow += "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit()))\n"
    slow += "print('ready', flush=True)\ntime.sleep(600)"
    processes = [group.start(name, [sys.executable, "-c", slow]) for name in ("one", "two", "three")]
    deadline = time.monotonic() + 30
    while not all(process.log.read_text() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    before = threading.active_count()
    group.stop()
    assert [process.exit_code for process in processes] == [0, 0, 0]
    assert threading.active_count() == before
