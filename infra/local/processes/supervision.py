"""Supervise a group of processes: they start in sessions of their own and none outlives the group."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from infra.local.processes.process import Process, ProcessError

GRACE_SECONDS = 11.0
"""How long a process may take to end after SIGTERM: to answer its requests, to hand its batch back, for which
a worker takes `IMAGO_STOP_SECONDS` (10). With the servers' own end `make down` so takes 15 s at most."""
SUPERVISOR = "supervisor"
"""The name of the command that brings back what ends."""


class Group:
    """Processes that are started one by one and ended together.

    What already runs under this home, started by another command, is used and left running.
    """

    def __init__(self, home: Path, *, folder: Path, environment: dict[str, str]) -> None:
        """folder: where the processes run · environment: variables on top of ours."""
        self._home = home
        self._folder = folder
        self._environment = environment
        self._members: list[Process] = []
        self._own: dict[str, Sequence[str | Path]] = {}
        """Commands of what was started here."""
        # Length of each log when its process joined the group.
        self._said: dict[str, int] = {}

    def start(self, name: str, command: Sequence[str | Path]) -> Process:
        """Start a process, unless one of this name runs already, and add it to the group."""
        process = member(self._home, name)
        self._said[name] = process.log.stat().st_size if process.log.exists() else 0
        if not process.running:
            self._own[name] = command
            self.spawn(process)
        self._members.append(process)
        return process

    def spawn(self, process: Process) -> None:
        """Start one of our own, again if it has ended."""
        process.owned = True
        process.spawn(self._own[process.name], folder=self._folder, environment=self._environment)

    @property
    def own(self) -> list[Process]:
        """The processes that were started here."""
        return [process for process in self._members if process.name in self._own]

    def check(self) -> None:
        """Raise ProcessError, with the end of the log, if a process has ended by itself."""
        for process in self._members:
            if not process.running:
                code = process.exit_code
                how = "" if code is None else f" with code {code}"
                raise ProcessError(f"{process.name} ended{how}. The end of {process.log}:\n{process.tail()}")

    def wait_until(self, ready: Callable[[], bool], what: str, timeout: float) -> None:
        """Wait for a condition while all processes live. Raises ProcessError when one dies or time is up."""
        deadline = time.monotonic() + timeout
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                logs = ", ".join(str(process.log) for process in self._members)
                raise ProcessError(f"{what} took longer than {timeout:.0f} s. See {logs}")
            time.sleep(0.05)

    def follow(
        self,
        write: Callable[[str], object] = sys.stdout.write,
        tend: Callable[[], None] | None = None,
    ) -> None:
        """Show what the processes have logged since they were started here, a name before each line.

        `tend` is called in between. Without it the end of a process raises ProcessError, after its last
        words.
        """
        width = max(len(process.name) for process in self._members)
        readers = [(each.name, _lines(each.log, self._said[each.name])) for each in self._members]
        while True:
            alive = all(process.running for process in self._members)
            for name, lines in readers:
                for line in lines:
                    if line is None:
                        break
                    write(f"{name:<{width}} │ {line}")
            sys.stdout.flush()
            if tend is not None:
                tend()
            elif not alive:
                self.check()
            time.sleep(0.2)

    def stop(self) -> None:
        """End the processes that this group started, all at once; kill what outlives the grace period."""
        end_all(self.own)
        self._own, self._members = {}, []


def member(home: Path, name: str) -> Process:
    """The process of this name under `home`, running or not."""
    return Process(name, home / "run" / f"{name}.json", home / "logs" / f"{name}.log")


def end_all(processes: Sequence[Process]) -> None:
    """SIGTERM to all, wait for all within one grace period, SIGKILL to the rest and their descendants."""
    # In threads: each may take the whole grace period.
    enders = [
        threading.Thread(target=process.end, args=(signal.SIGTERM, GRACE_SECONDS)) for process in processes
    ]
    for ender in enders:
        ender.start()
    for ender in enders:
        ender.join()


def _lines(path: Path, start: int) -> Iterator[str | None]:
    """Endless: the whole lines of a growing file from a position on, and None while there is no more."""
    with path.open(errors="replace") as log:
        log.seek(start)
        kept = ""
        while True:
            kept += log.readline()
            if kept.endswith("\n"):
                yield kept
                kept = ""
            else:
                yield None


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP become KeyboardInterrupt in the block: every end takes the same orderly way."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Further Ctrl-C, SIGTERM and SIGHUP are ignored in the block: stopping is not left half-way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
