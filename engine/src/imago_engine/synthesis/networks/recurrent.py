"""Run networks that hold recurrent layers (LSTM, GRU, RNN) without cuDNN, which gives no gradient through
those of a network in eval mode. Layers that TorchScript has compiled are not known as recurrent."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn


def answer(module: nn.Module, x: Tensor) -> Any:
    """What a network returns for its input [N, 3, S, S], so that a gradient leads back through all its
    layers. cuDNN computes on GPUs alone, so that others leave the process as it is."""
    if not (x.is_cuda and _is_recurrent(module)):
        return module(x)
    with without_cudnn():
        return module(x)


def _is_recurrent(module: nn.Module) -> bool:
    """Whether a network holds a recurrent layer; looked up once."""
    with _LOCK:
        found = _RECURRENT.get(module)
    if found is None:
        found = any(isinstance(part, nn.RNNBase) for part in module.modules())
        with _LOCK:
            _RECURRENT[module] = found
    return found


@contextmanager
def without_cudnn() -> Iterator[None]:
    """The switch is the process's: the first thread that needs it off turns it, the last one turns it
    back."""
    with _LOCK:
        _OFF.append(torch.backends.cudnn.enabled)
        torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        with _LOCK:
            before = _OFF[0]
            _OFF.pop()
            if not _OFF:
                torch.backends.cudnn.enabled = before


_LOCK = Lock()
_OFF: list[bool] = []
"""Of each run that needs it off, how it was found: of the first one, how the process has it."""
_RECURRENT: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()
