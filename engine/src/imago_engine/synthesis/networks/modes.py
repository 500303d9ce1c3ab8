"""The caller's modes of torch, set aside while the engine works: no result depends on them.

Threads of the engine's own start without any mode; the thread that calls may have them all.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from imago_engine.synthesis.computing.whole_float32 import whole_float32

_AUTOCAST = ("cpu", "cuda", "mps")


@contextmanager
def own_modes() -> Iterator[None]:
    """Gradients on; inference mode, autocast and a default device that the caller has set, off; and float32
    is float32.

    The default dtype is left alone, because it is the whole process's: the engine names the dtype of each
    tensor that it makes.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(whole_float32())
        for device_type in _AUTOCAST:
            if torch.is_autocast_enabled(device_type):
                stack.enter_context(torch.autocast(device_type, enabled=False))
        # Such a mode is asked at every call of a function of torch: only against one that is there.
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def loading_modes() -> Iterator[None]:
    """As `own_modes`, and float32 is the default dtype: architectures make their weights in it.

    The default dtype is the process's, so this is meant for the time of loading alone.
    """
    before = torch.get_default_dtype()
    with own_modes():
        if before == torch.float32:
            yield
            return
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(before)
