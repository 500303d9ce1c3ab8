"""Bring back a process that has ended by itself or was killed."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.local.processes.process import Process, ProcessError

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""What has run for so long is started again at once; what ends sooner waits twice as long each time."""


@dataclass
class Revival:
    """Starts one process again whenever it has ended, and says why.

    start: starts it and returns at once · say: gets one line for people
    """

    process: Process
    start: Callable[[], None]
    say: Callable[[str], object]
    _ends: int = field(default=0, init=False)
    """In a row."""
    _due: float | None = field(default=None, init=False)
    """When it is to be started; None while it runs."""
    _started: float = field(default_factory=time.monotonic, init=False)

    def tend(self) -> None:
        """Look at the process, and start it if it is time. To be called every few tenths of a second."""
        if self.process.running:  # also where another command was quicker
            self._due = None
            return
        now = time.monotonic()
        if self._due is None:
            self._ends = 0 if now - self._started > STEADY_SECONDS else self._ends + 1
            pause = min(FIRST_SECONDS * 2**self._ends, LONGEST_SECONDS)
            self.say(f"{self._how_it_ended()}; it is started again in {pause:.1f} s")
            self._due = now + pause
        elif now >= self._due:
            self._due, self._started = None, now
            try:
                self.start()
            except (ProcessError, OSError) as error:
                self.say(f"{self.process.name} could not be started: {error}")

    def _how_it_ended(self) -> str:
        code = self.process.exit_code
        if code is None:
            return f"{self.process.name} has ended"
        if code < 0:
            return f"{self.process.name} was ended by {signal.Signals(-code).name}"
        last = self.process.tail(lines=1)
        return f"{self.process.name} ended with code {code} ({last}; see {self.process.log})"
