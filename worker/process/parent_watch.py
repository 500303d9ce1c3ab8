"""Runs `python -m MODULE ARGUMENTS` so that it never outlives its worker:
`python -m worker.process.parent_watch MODULE ARGUMENTS`.

A worker that is killed cannot end what it started; a training that went on without one would use the device
beside its own continuation elsewhere. So the kernel is asked to end it (Linux; elsewhere its lease alone
guards it).
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the module. IMAGO_PARENT is the parent's process id."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # It may have died before it was asked for.
        if os.getppid() != int(os.environ.pop("IMAGO_PARENT", os.getppid())):
            sys.exit("the worker is gone")
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])


if __name__ == "__main__":
    main()
