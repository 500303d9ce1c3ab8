"""Batch norms of frozen networks, folded into the convolutions and linear layers before them.

In evaluation a batch norm multiplies each channel by one number and adds another. Where it follows a
convolution and nothing else reads that one's output, its numbers can be part of the weights: the network
computes the same with a third fewer operations.
"""

from collections import OrderedDict
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from imago_engine.synthesis.networks.hooks import After, Inputs, watching
from imago_engine.synthesis.networks.recurrent import answer

_FOLDABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, BatchNormAct2d)


def fold_batch_norms(module: nn.Module, pictures: Tensor) -> int:
    """Fold what can be folded in a frozen network, which is changed, and say how many norms went.

    `pictures` are a valid input, which shows what follows what. Modules keep their names: of a norm stays
    what passes its input on, of timm's norms with an activation the activation. Whether something else reads
    a convolution's output cannot be seen here: compare what the network gives before and after.
    """
    pairs = _pairs(module, pictures)
    names = {part: name for name, part in module.named_modules(remove_duplicate=False)}
    for before, norm in pairs:
        parent, _, name = names[norm].rpartition(".")
        setattr(module.get_submodule(parent), name, folded_into(before, norm))
    return len(pairs)


def _pairs(module: nn.Module, pictures: Tensor) -> list[tuple[nn.Module, nn.Module]]:
    """Convolutions or linear layers, each with the norm that was given its output; all were run once."""
    outputs: dict[int, tuple[nn.Module, Tensor]] = {}  # holds on to the tensors, so that no id is used twice
    runs: dict[nn.Module, int] = {}
    found = []

    def note(part: nn.Module, inputs: Inputs, output: Any) -> None:
        runs[part] = runs.get(part, 0) + 1
        if isinstance(part, _NORMS):
            before, given = outputs.get(id(inputs[0]), (None, None)) if inputs else (None, None)
            if before is not None and given is inputs[0]:
                found.append((before, part))
        else:
            outputs[id(output)] = (part, output)

    counted = [part for part in module.modules() if _is_plain(part)]
    functions: list[tuple[nn.Module, After]] = [(part, note) for part in counted]
    with watching(after=functions), torch.no_grad():
        answer(module, pictures)
    of_all = [part for pair in found for part in pair]
    return [
        (before, norm)
        for before, norm in found
        if runs[before] == runs[norm] == of_all.count(before) == of_all.count(norm) == 1
    ]


def _is_plain(part: nn.Module) -> bool:
    """Whether it computes what its class says, with parameters of its own."""
    if isinstance(part, _FOLDABLE):  # a parametrized weight is no parameter
        return part._parameters.get("weight") is not None
    if type(part) not in _NORMS:
        return False
    return not part.training and getattr(part, "running_mean", None) is not None


def folded_into(before: Any, norm: Any) -> nn.Module:
    """Fold a norm in evaluation mode into the convolution or linear layer before it, which is changed, and
    give what is left of the norm: its activation, or what passes its input on.
    """
    scale = (norm.running_var.double() + norm.eps).rsqrt()  # [C]
    shift = -norm.running_mean.double() * scale
    if norm.weight is not None:
        scale, shift = scale * norm.weight.double(), shift * norm.weight.double()
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    if before.bias is not None:
        shift = shift + before.bias.double() * scale
    weight = before.weight
    folded = weight.double() * scale.view(-1, *[1] * (weight.ndim - 1))
    kept = torch.empty_like(weight).copy_(folded)  # in the memory format of before
    before.weight = nn.Parameter(kept, requires_grad=False)
    before.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=False)
    return _remainder(norm)


def _remainder(norm: nn.Module) -> nn.Module:
    if isinstance(norm, BatchNormAct2d):
        return nn.Sequential(OrderedDict(norm.named_children()))
    return nn.Identity()
