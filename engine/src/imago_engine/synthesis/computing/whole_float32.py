"""Products of float32 numbers in float32, also on GPUs.

Unless told otherwise torch lets cuDNN round the factors of convolutions to 10 bits (TF32). Networks then
differ by more than a thousandth from what they give on a CPU, and so do copies whose batch norms are folded.
Who wants speed asks for bfloat16, which this leaves alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any

import torch

PutBack = Callable[[], None]
_BACKENDS: Any = torch.backends  # whose switches its type does not tell


@contextmanager
def whole_float32() -> Iterator[None]:
    """The switches are the process's: the first thread that needs them sets them, the last one puts them
    back."""
    with _LOCK:
        _INSIDE.append(_INSIDE[0] if _INSIDE else _set())
    try:
        yield
    finally:
        with _LOCK:
            put_back = _INSIDE.pop()
            if not _INSIDE:
                for each in put_back:
                    each()


def _set() -> list[PutBack]:
    """Set the switches; what puts them back as they were found."""
    cudnn = _BACKENDS.cudnn
    put_back: list[PutBack] = []
    older = _older_switches()
    if older is None:
        for each in (cudnn.conv, cudnn.rnn, _BACKENDS.cuda.matmul):
            put_back.append(partial(setattr, each, "fp32_precision", each.fp32_precision))
            each.fp32_precision = "ieee"
        return put_back
    convolutions, products = older
    if convolutions:
        put_back.append(partial(setattr, cudnn, "allow_tf32", True))
        cudnn.allow_tf32 = False
    if products != "highest":
        put_back.append(partial(torch.set_float32_matmul_precision, products))
        torch.set_float32_matmul_precision("highest")
    return put_back


def _older_switches() -> tuple[bool, str] | None:
    """What they say; None where the caller has set newer ones, which torch does not let be mixed with them.
    Code that looks at the older ones, as compiled modules do, must be able to go on doing so."""
    if _BACKENDS.fp32_precision != "none" or _BACKENDS.cudnn.fp32_precision != "none":
        return None
    try:
        return _BACKENDS.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


_LOCK = Lock()
_INSIDE: list[list[PutBack]] = []
"""Of each run that is under way, what puts the switches back as the first one found them."""
