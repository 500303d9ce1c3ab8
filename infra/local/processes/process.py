"""Start a process with a log file, find it again and end it, also from another command."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from infra.local.processes.waiting import until


class ProcessError(RuntimeError):
    """A process did not start, died, or would not end; the message shows the end of its log."""


@dataclass
class Process:
    """A process in a session of its own, known by pid and start time.

    The identity is kept in a file, so that another run of the command line finds the process again, and
    a pid that the system has given to somebody else since is never signalled.

    name: as shown to people · record: the file of the identity · log: where its output is appended ·
    owned: the process is to end with the command that starts it, and is an orphan when that was killed
    """

    name: str
    record: Path
    log: Path
    owned: bool = False
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _exit_code: int | None = field(default=None, init=False, repr=False)

    def spawn(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path,
        environment: dict[str, str] | None = None,
        user: int | None = None,
    ) -> None:
        """Start the command in `folder` and return; as user id `user` where given (root only)."""
        self.clear()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [str(word) for word in command],
                cwd=folder,
                env=None if environment is None else {**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Its own session: a Ctrl-C in the terminal reaches only us, and we order the end.
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )
        self._child, self._exit_code = child, None
        self.remember(child.pid)

    def remember(self, pid: int) -> None:
        """Write the identity of a running process into the record, and of this one if it owns it."""
        self.record.parent.mkdir(parents=True, exist_ok=True)
        facts: dict[str, object] = dict(_identity(pid))
        if self.owned:
            facts["owner"] = _identity(os.getpid())
        self.record.write_text(json.dumps(facts))

    def find(self) -> psutil.Process | None:
        """The running process, or None. Reaps it if it was our child and has ended."""
        if self._child is not None and self._child.poll() is not None:
            # Another command may start it again: from now on the record alone says what runs.
            self._exit_code, self._child = self._child.returncode, None
        if self._child is not None:
            # Not buried yet, so its pid is its own; of several threads the first may be gone already.
            return psutil.Process(self._child.pid)
        facts = self._recorded()
        return None if facts is None else _process_of(facts)

    @property
    def orphaned(self) -> bool:
        """Whether it runs although the command that it was to end with is gone."""
        facts = self._recorded()
        if facts is None or "owner" not in facts or _process_of(facts) is None:
            return False
        return _process_of(facts["owner"]) is None

    def clear(self) -> None:
        """Kill what the process left behind in its session when it was killed itself."""
        facts = self._recorded()
        if facts is None or self.running:
            return
        left = [each for each in psutil.process_iter() if _session(each.pid) == facts["pid"] != each.pid]
        if not _taken_by_another(facts):
            kill_all(left, timeout=5)

    def _recorded(self) -> dict[str, Any] | None:
        try:
            facts: dict[str, Any] = json.loads(self.record.read_text())
        except (FileNotFoundError, ValueError):  # ValueError: cut off in the midst of writing
            return None
        return facts

    @property
    def pid(self) -> int | None:
        """Its process id, None when it does not run."""
        process = self.find()
        return None if process is None else process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.find() is not None

    @property
    def exit_code(self) -> int | None:
        """How our own child ended; None while it runs, or when an earlier command had started it."""
        return self._exit_code if self._child is None else self._child.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; nothing happens when it is gone."""
        process = self.find()
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self, timeout: float = 10.0) -> None:
        """SIGKILL the process and all its descendants, and wait until they are gone."""
        process = self.find()
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            # Stopped first, so that it cannot start another child between the listing and the kill.
            process.suspend()
            kill_all([process, *process.children(recursive=True)], timeout)
        if not self.wait(timeout):
            raise ProcessError(f"{self.name} (pid {process.pid}) does not end after SIGKILL")

    def wait(self, timeout: float) -> bool:
        """Wait until the process has ended; False when it still runs after `timeout` seconds."""
        if not until(lambda: not self.running, timeout):
            return False
        self.record.unlink(missing_ok=True)
        return True

    def end(self, number: signal.Signals, timeout: float) -> None:
        """Ask the process to end by a signal; after `timeout` seconds kill it and its descendants."""
        process = self.find()
        family = [] if process is None else process.children(recursive=True)
        self.send(number)
        if not self.wait(timeout):
            self.kill()
        # What the process itself had started and left behind goes too.
        kill_all(family, timeout=5)

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log, for an error message."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 16_384))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])


def kill_all(family: list[psutil.Process], timeout: float) -> None:
    """SIGKILL to all, and wait until they are gone; one that nobody buries counts as gone."""
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    until(lambda: not any(_alive(member) for member in family), timeout)


def _identity(pid: int) -> dict[str, float]:
    return {"pid": pid, "started": psutil.Process(pid).create_time()}


def _process_of(identity: dict[str, Any]) -> psutil.Process | None:
    """The process of an identity, if it is alive."""
    try:
        process = psutil.Process(identity["pid"])
        # Start times count from boot, in hundredths of a second; the clock may be set a little.
        same = abs(process.create_time() - identity["started"]) < 1.0
        return process if same and _alive(process) else None
    except psutil.NoSuchProcess:
        return None


def _taken_by_another(identity: dict[str, Any]) -> bool:
    """Whether the system has given the pid, and so the session, to somebody else since."""
    try:
        return bool(abs(psutil.Process(identity["pid"]).create_time() - identity["started"]) >= 1.0)
    except psutil.NoSuchProcess:
        return False


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _alive(process: psutil.Process) -> bool:
    """False for a zombie too: it holds nothing, and who has to bury it may take a second about it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
