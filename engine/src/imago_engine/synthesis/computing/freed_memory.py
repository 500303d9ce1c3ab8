"""What becomes of a tensor's memory on Linux once it is freed."""

import ctypes
import os
import sys
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)


@cache
def keep_freed_memory() -> None:
    """Have this process use again what it frees, if its C library is glibc and nobody has set that up.

    glibc gives the memory of each larger tensor back to the kernel, and pages for the next one are zeroed and
    faulted in anew: up to a fifth of a step's time. What is kept is at most what one step needs.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that fits into a heap of a thread
        mallopt(_TRIM_THRESHOLD, 1 << 30)
        mallopt(_TOP_PAD, 64 << 20)
