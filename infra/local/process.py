"""One child process that may outlive us: started with a log file, found again and ended by its identity."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil


class ProcessError(RuntimeError):
    """A process did not start, died, or would not end; the message shows the end of its log."""


@dataclass
class Process:
    """A process in a session of its own, known by pid and start time.

    The identity is kept in a file, so that another run of the command line finds the process again, and
    a pid that the system has given to somebody else since is never signalled.

    name: as shown to people · record: the file of the identity · log: where its output is appended
    """

    name: str
    record: Path
    log: Path
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def spawn(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path,
        environment: dict[str, str] | None = None,
        user: int | None = None,
    ) -> None:
        """Start the command in `folder` and return; as user id `user` where given (root only)."""
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
        self._child = child
        self.remember(child.pid)

    def remember(self, pid: int) -> None:
        """Write the identity of a running process into the record."""
        self.record.write_text(json.dumps({"pid": pid, "started": psutil.Process(pid).create_time()}))

    def find(self) -> psutil.Process | None:
        """The running process, or None. Reaps it if it was our child and has ended."""
        if self._child is not None and self._child.poll() is not None:
            return None
        try:
            identity = json.loads(self.record.read_text())
            process = psutil.Process(identity["pid"])
            # Start times count from boot, in hundredths of a second; the clock may be set a little.
            same = abs(process.create_time() - identity["started"]) < 1.0
            return process if same and _alive(process) else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    @property
    def pid(self) -> int | None:
        process = self.find()
        return None if process is None else process.pid

    @property
    def running(self) -> bool:
        return self.find() is not None

    @property
    def exit_code(self) -> int | None:
        """How our own child ended; None while it runs, or when an earlier command had started it."""
        return None if self._child is None else self._child.poll()

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
            _kill([process, *process.children(recursive=True)], timeout)
        if not self.wait(timeout):
            raise ProcessError(f"{self.name} (pid {process.pid}) does not end after SIGKILL")

    def wait(self, timeout: float) -> bool:
        """Wait until the process has ended; False when it still runs after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.running:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        if self._child is not None:
            self._child.wait()
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
        _kill(family, timeout=5)

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log, for an error message."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 16_384))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])


def _kill(family: list[psutil.Process], timeout: float) -> None:
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    deadline = time.monotonic() + timeout
    while any(_alive(member) for member in family) and time.monotonic() < deadline:
        time.sleep(0.01)


def _alive(process: psutil.Process) -> bool:
    """False for a zombie too: it holds nothing, and who has to bury it may take a second about it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
