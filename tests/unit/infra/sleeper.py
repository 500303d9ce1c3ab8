"""Processes that sleep, for the tests of what starts and ends processes."""

import sys
from pathlib import Path

from infra.local.processes.process import Process

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
WITH_CHILD = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)",
]
"""It says the process id of its child."""


def sleeper(folder: Path) -> Process:
    """A process with its record and log in this folder."""
    return Process("sleeper", folder / "run" / "sleeper.json", folder / "logs" / "sleeper.log")
