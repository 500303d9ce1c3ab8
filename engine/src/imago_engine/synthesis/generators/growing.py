"""From a trained compact network to a larger one that draws the same pictures and is trained from there."""

from collections.abc import Mapping

import torch
from torch import Tensor

from imago_engine.synthesis.generators.compact import CompactNetwork


def grown(weights: Mapping[str, Tensor], into: CompactNetwork) -> dict[str, Tensor]:
    """The weights of a compact network for one of twice the size and perhaps more channels at the end: with
    them it draws the same pictures, enlarged and without their grain.
    """
    own = into.state_dict()
    result = dict(weights)
    for name in ("last_up.weight", "last_up.bias"):
        result[name] = own[name].clone()
        result[name][: len(weights[name])] = weights[name]
    kernel = weights["to_rgb.weight"].repeat_interleave(4, dim=0)
    result["to_rgb.weight"] = torch.zeros_like(own["to_rgb.weight"])
    result["to_rgb.weight"][:, : kernel.shape[1]] = kernel
    result["to_rgb.bias"] = weights["to_rgb.bias"].repeat_interleave(4)
    return result


def widened(weights: Mapping[str, Tensor], into: CompactNetwork) -> dict[str, Tensor]:
    """The weights of a compact network for one with more channels, residual blocks or local styles: with them
    it draws the same pictures (Chen et al. 2016, "Net2Net", arXiv 1511.05641), but that a smooth one has
    places and pixels of one that is not blend.

    What is new starts as `into` has it and is not listened to by what is old: the old channels' weights of
    new channels are 0, which training changes at once. Raises ValueError where `may_widen` says no.
    """
    result = {}
    for name, own in into.state_dict().items():
        old = weights.get(name)
        if old is None or old.shape == own.shape:
            result[name] = own if old is None else old
        elif ".film." in name:  # scales, then shifts
            halves = zip(old.chunk(2), own.chunk(2), strict=True)
            result[name] = torch.cat([_in_the_corner(was, new) for was, new in halves])
        else:
            result[name] = _in_the_corner(old, own)
    return result


def may_widen(weights: Mapping[str, Tensor], into: CompactNetwork) -> bool:
    """Whether each tensor fits into the one of its name."""
    own = into.state_dict()
    return all(_fits(tensor, own[name]) for name, tensor in weights.items())


def _fits(old: Tensor, own: Tensor) -> bool:
    return old.ndim == own.ndim and all(a <= b for a, b in zip(old.shape, own.shape, strict=True))


def _in_the_corner(old: Tensor, own: Tensor) -> Tensor:
    """`own` with `old` as its first rows and columns, and 0 where an old row meets a new column."""
    if not _fits(old, own):
        raise ValueError(f"{list(old.shape)} does not fit into {list(own.shape)}")
    result = own.clone()
    result[: old.shape[0]] = 0
    result[tuple(slice(size) for size in old.shape)] = old
    return result
