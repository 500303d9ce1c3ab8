"""Named places where a test can kill the worker, to see that nothing is lost wherever it dies.

`IMAGO_CRASH_AT=after_put` sends this process SIGKILL when it reaches that place: no cleanup, as by the
kernel's out-of-memory killer. With `IMAGO_CRASH_ONCE=<path>` only the first process that gets there dies; it
leaves the file behind. With `IMAGO_CRASH_HOW=hang` it does not die there but stays, for ever: like a driver
that does not answer. Without the first variable a crash point costs one dictionary look-up.
"""

import os
import signal
import time
from pathlib import Path
from typing import Literal

CrashPoint = Literal[
    "after_claim",
    "mid_batch",
    "after_put",
    "before_commit",
    "after_commit",
    "inspecting",
    "training_stored",
    "mid_scan",
    "crops_stored",
    "mid_repair",
    "repair_stored",
    "sheet_stored",
    "mid_map",
    "map_stored",
    "expanding",
    "expanded",
    "comparing",
    "compared",
    "export_stored",
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
    while os.environ.get("IMAGO_CRASH_HOW") == "hang":
        time.sleep(60)
    os.kill(os.getpid(), signal.SIGKILL)
