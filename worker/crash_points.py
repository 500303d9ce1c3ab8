"""Named places where a test can kill the worker, to see that nothing is lost wherever it dies.

`IMAGO_CRASH_AT=after_put` sends this process SIGKILL when it reaches that place: no cleanup, as by the
kernel's out-of-memory killer. With `IMAGO_CRASH_ONCE=<path>` only the first process that gets there dies;
it leaves the file behind. Without the variable a crash point costs one dictionary look-up.
"""

import os
import signal
from pathlib import Path
from typing import Literal

CrashPoint = Literal[
    "after_claim", "mid_batch", "after_put", "before_commit", "after_commit", "training_stored"
]


def crash_point(name: CrashPoint) -> None:
    """Die here and now if the environment asks for it."""
    if os.environ.get("IMAGO_CRASH_AT") != name:
        return
    if marker := os.environ.get("IMAGO_CRASH_ONCE"):
        try:
            Path(marker).touch(exist_ok=False)
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
