"""`python -m api` as a process of its own, on a free port of 127.0.0.1."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.local import ports
from tests.worker_processes import OFTEN, ROOT, until


class ApiProcess:
    """An API that can be ended and started again at the same address. Whoever starts it kills it."""

    process: subprocess.Popen[bytes]
    """Set by `start`."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *options: str,
        command: Sequence[str] = ("-m", "api"),
        port: int | None = None,
        log: Path | None = None,
    ) -> None:
        """`environment` is added to that of the tests; `command` is what Python runs, which is given the port
        and the `options`. What it says goes to the `log`, or to where the tests write."""
        self.port = port or ports.pick(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**os.environ, **environment}
        self._command = [sys.executable, *command, "--port", str(self.port), *options]
        self._log = log

    def start(self) -> None:
        """Returns once it answers."""
        if self._log is None:
            self.process = subprocess.Popen(self._command, cwd=ROOT, env=self._environment)
        else:
            with self._log.open("ab") as log:
                self.process = subprocess.Popen(
                    self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
                )
        until(self._answers, "the API answers", every=OFTEN)

    def stop(self) -> None:
        """End it in good order."""
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0

    def kill(self) -> None:
        """Also one that was never started, or has ended."""
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()[-4000:] if self._log else "it has ended"
        try:
            urllib.request.urlopen(f"{self.url}/healthz", timeout=30).close()
        except OSError:
            return False
        return True
