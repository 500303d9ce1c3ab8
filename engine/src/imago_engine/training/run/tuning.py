"""Process settings that make training on CPUs faster; they must be in the environment before the process
starts.
"""

import os
import sys
from collections.abc import Sequence

SETTINGS = {
    # glibc gives every large tensor back to the kernel and faults it in again: 20–50 % of a step's time.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "MALLOC_TOP_PAD_": str(1 << 28),
    # Threads that wait by sleeping: with spinning, one busy neighbour on one core slows a step eightfold.
    "OMP_WAIT_POLICY": "PASSIVE",
}


def restart_tuned(arguments: Sequence[str]) -> None:
    """Replace this process by `python -m imago_engine.training` with the settings, unless it has them already
    (or is not on Linux).
    """
    missing = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    if missing and sys.platform == "linux":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "imago_engine.training", *arguments],
            {**os.environ, **missing},
        )
