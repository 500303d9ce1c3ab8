"""A worker's child process without its parent, forked from a server that has imported torch already."""

import functools
import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from pathlib import Path

from worker.process.stopping import StopFlag

PATIENCE_SECONDS = 300
"""How long a test waits for what must happen; it asserts that it happens, never how soon."""


class BareChild:
    """Only the process that computes, without the Celery parent that would start it again.

    Forked from a server that has imported torch already: it starts at once, where a worker takes seconds.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._process = _forkserver().Process(target=_be_a_child, args=(dict(environment), str(log)))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def wait(self) -> int:
        """Wait for its end; the exit status, negative for a signal."""
        self._process.join(PATIENCE_SECONDS)
        assert self._process.exitcode is not None, f"it still runs:\n{self.tail()}"
        return self._process.exitcode

    def tail(self) -> str:
        return "\n".join(self.log.read_text().splitlines()[-60:])


@functools.cache
def _forkserver() -> ForkServerContext:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `python -m worker` has it
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["worker.process.child", "worker.process.compose"])
    return context


def _be_a_child(environment: dict[str, str], log: str) -> None:
    """What Celery's pool does to a child: start it, wait for the stop, shut it down."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)
    from worker.process import child

    child.start()
    stopped = StopFlag()
    ask = signal.getsignal(child.STOP_SIGNAL)
    assert callable(ask)

    def stop(number: int, frame: object) -> None:
        ask(number, None)
        stopped.ask(0)

    signal.signal(child.STOP_SIGNAL, stop)
    while not stopped.wait(60):
        pass
    child.shut_down()
