"""A generator on the device where it is needed, without moving the one that others hold."""

import copy
import threading
from weakref import WeakKeyDictionary

import torch

from imago_engine.synthesis.generators.architectures import Generator


def on_device(generator: Generator, device: torch.device) -> Generator:
    """The generator itself where it is on `device`, else its copy there, which is made once: what is
    remembered of a generator is remembered of its copy too.

    Whoever calls in a mode of torch's own gets weights of that mode: call it in `own_modes`.
    """
    if generator.code_mean.device == device:
        return generator
    with _LOCK:
        copies = _COPIES.setdefault(generator, {})
        if device not in copies:
            copies[device] = copy.deepcopy(generator).to(device)
        return copies[device]


_LOCK = threading.Lock()
_COPIES: "WeakKeyDictionary[Generator, dict[torch.device, Generator]]" = WeakKeyDictionary()
