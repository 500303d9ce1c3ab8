"""A user's own module as a network: copied, frozen and checked, with reasons where that cannot be."""

import copy as copies
import math
from collections.abc import Iterable
from itertools import chain

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from imago_engine import networks
from imago_engine.networks import LARGEST_STD, LEAST_STD
from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.synthesis.sources.network_source import NetworkError, Preprocessing


def frozen(module: nn.Module, *, copy: bool) -> nn.Module:
    """The module, or a copy of it, in eval mode and without gradients of its weights. Raises `NetworkError`
    where it has no values yet or cannot be copied.
    """
    if not isinstance(module, nn.Module):
        raise NetworkError(f"expected a torch.nn.Module; got {module!r:.80}")
    if isinstance(module, torch.jit.ScriptModule):
        raise NetworkError(
            "TorchScript runs no modules that could be watched; expected the module it is made of"
        )
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        if is_lazy(tensor):
            raise NetworkError(f"{name} has no shape yet; expected a module that was run on a picture once")
        if tensor.is_meta:
            raise NetworkError(f"{name} is on the device meta, without values; expected weights with values")
    if copy:
        try:
            module = copies.deepcopy(module)
        except Exception as error:  # the module's own code and whatever it holds decide
            if is_exhaustion(error):
                raise
            raise NetworkError(
                f"the module cannot be copied ({type(error).__name__}: {error}); with copy=False it is used "
                "and frozen itself"
            ) from error
    module.eval()  # answers nothing where a module's own `train` does not
    return module.requires_grad_(False)


def checked_preprocessing(given: networks.Preprocessing) -> Preprocessing:
    """The same, ready to be applied. Raises `NetworkError` that names the field which no network has so."""
    if not isinstance(given, networks.Preprocessing):
        raise NetworkError(f"preprocessing: expected a Preprocessing(size, mean, std); got {given!r:.80}")
    size: object = given.size
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise NetworkError(f"preprocessing.size: expected whole pixels, at least 1; got {size!r:.80}")
    mean, std = _triple("mean", given.mean), _triple("std", given.std)
    if not all(LEAST_STD <= value <= LARGEST_STD for value in std):
        raise NetworkError(
            f"preprocessing.std: expected numbers from {LEAST_STD:g} to {LARGEST_STD:g}, for pixels from 0 "
            f"to 1 (divide those of 0 to 255 by 255); got {list(std)}"
        )
    bgr: object = given.bgr
    if not isinstance(bgr, bool):
        raise NetworkError(f"preprocessing.bgr: expected true or false; got {bgr!r:.80}")
    return Preprocessing(size, mean, std, bgr)


def checked_labels(labels: object) -> tuple[str, ...]:
    """The names of classes as a tuple. Raises `NetworkError` for what is no names."""
    found = tuple(labels) if isinstance(labels, Iterable) and not isinstance(labels, str) else (None,)
    if not all(isinstance(label, str) for label in found):
        raise NetworkError(f"labels: expected strings, one a class; got {labels!r:.80}")
    return found


def _triple(name: str, given: object) -> tuple[float, float, float]:
    """Three finite numbers of any kind: of a tuple, a list, an array."""
    try:
        red, green, blue = (float(value) for value in given)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise NetworkError(f"preprocessing.{name}: expected three numbers; got {given!r:.80}") from None
    if not all(map(math.isfinite, (red, green, blue))):
        raise NetworkError(f"preprocessing.{name}: expected finite numbers; got {[red, green, blue]}")
    return red, green, blue
