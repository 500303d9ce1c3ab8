"""The process that trains: started with a job, told by signals, heard by its events."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


class TrainingProcess:
    """`python -m imago_engine.training run JOB` in a session of its own, tied to this process."""

    def __init__(self, job: Path) -> None:
        """What it writes to stdout and stderr goes to files beside `job`. Make it in a thread that lives as
        long as it should: the kernel ends it with that thread."""
        self._stderr = job.with_name("stderr")
        # Nothing of ours: it needs no servers, so it gets no keys to them.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("IMAGO_")}
        with job.with_name("stdout").open("wb") as output, self._stderr.open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "worker.process.parent_watch",
                    "imago_engine.training",
                    "run",
                    str(job),
                ],
                cwd=_ROOT,
                env={**environment, "IMAGO_PARENT": str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, also that of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """SIGTERM: it saves its state and ends, at once where there is nothing to save."""
        self._send(signal.SIGTERM)

    def pause(self) -> None:
        """Have it stand still where it is."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a pause."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End it, and whatever it has started, at once."""
        if self._process.poll() is None:
            self._send(signal.SIGKILL)
            self._process.wait()

    def how_it_ended(self) -> str:
        """For people, of a process that has not said it itself."""
        code = self.exit_code
        if code is None or code >= 0:
            return f"The training's process ended with status {code}, and did not say why."
        hint = ", most likely because memory ran out" if -code == signal.SIGKILL else ""
        return f"The training's process was ended by {signal.Signals(-code).name}{hint}."

    def stderr_tail(self) -> str:
        """The end of what it wrote to stderr, for whoever runs the worker."""
        return self._stderr.read_text(errors="replace")[-4000:]

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
