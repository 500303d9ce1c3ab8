"""The base class of the three servers: start, wait until ready, stop, kill, restart."""

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from infra.local.processes.process import Process, ProcessError


class ServerError(ProcessError):
    """A server could not be started; the message shows the end of its log."""


class Server(ABC):
    """One server with its data in `home/<name>` and its log in `home/logs/<name>.log`."""

    name: ClassVar[str]
    start_timeout: ClassVar[float] = 60.0

    def __init__(self, home: Path) -> None:
        self.folder = home / self.name
        self.process = Process(
            self.name, home / "run" / f"{self.name}.json", home / "logs" / f"{self.name}.log"
        )

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.process.running

    def start(self, *, owned: bool = False) -> None:
        """Start the process unless it runs. Returns at once: `wait_ready` follows. owned: it is to end with
        this command.
        """
        if not self.running:
            self.process.owned = owned
            self._launch()

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the server answers a real request. Raises ServerError with the log's end."""
        limit = self.start_timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        while True:
            problem = self._problem()
            if problem is None:
                return
            if not self.running:
                raise ServerError(f"{self.name} ended while starting. {self._log_end()}")
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{self.name} is not ready after {limit:.0f} s: {problem}. {self._log_end()}"
                )
            time.sleep(0.05)

    @abstractmethod
    def stop(self) -> None:
        """End the server in good order; does nothing when it does not run."""

    def kill(self) -> None:
        """kill -9 of the server and all its processes: what a crash of the machine's software looks like."""
        self.process.kill()

    def restart(self) -> None:
        """kill -9, start again with the same data and address, wait until ready."""
        self.kill()
        self.start()
        self.wait_ready()

    @abstractmethod
    def _launch(self) -> None: ...

    @abstractmethod
    def _problem(self) -> str | None:
        """Why the server cannot serve yet; None when it can."""

    def _log_end(self) -> str:
        return f"The end of {self.process.log}:\n{self.process.tail()}"
