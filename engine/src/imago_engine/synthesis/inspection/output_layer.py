"""Which layer gives the logits: the one whose values the network returns, as they are or squashed."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Squash = Literal["softmax", "sigmoid"]
"""What makes probabilities of logits: of classes that exclude each other, or of each class by itself."""
SQUASHES = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.Sigmoid)
TINY = 1e-30
_SQUASHED: dict[Squash, Callable[[Tensor], Tensor]] = {
    "softmax": lambda values: F.log_softmax(values, 1),
    "sigmoid": F.logsigmoid,
}


@dataclass
class Lineage:
    """Which module gave a tensor and what it was given. The tensors are kept, so that their ids stay their
    own; `squashes` are the modules of `SQUASHES`."""

    given: dict[str, Tensor] = field(default_factory=dict)
    taken: dict[str, Tensor] = field(default_factory=dict)
    squashes: set[str] = field(default_factory=set)

    def logits_behind(self, returned: Tensor) -> str | None:
        """The first module that gave what was returned, or what went into the squashes that gave it."""
        name = self._giver(returned)
        while name in self.squashes:
            name = self._giver(self.taken.get(name))
        return name

    def _giver(self, tensor: Tensor | None) -> str | None:
        return next((name for name, given in self.given.items() if given is tensor), None)


class Output(NamedTuple):
    """The layer of the logits."""

    name: str
    squash: Squash
    """What the network makes of them, as far as that is seen in what it returns; softmax of those that it
    returns as they are."""


def find_output(
    vectors: Mapping[str, Sequence[Tensor]], returned: Sequence[Tensor], lineal: str | None, lineage: Lineage
) -> Output | None:
    """The layer whose values equal what was returned, up to a softmax, log-softmax or sigmoid.

    `vectors` and `returned` hold the values [N, C] in the same runs. `lineal` is the layer that the very
    tensor came from: it is preferred, and the only one that can be told where values tell nothing (a head of
    zeros gives the same for all pictures).
    """
    as_they_are: dict[str, Squash] = {}
    squashed: dict[str, Squash] = {}
    for name, values in vectors.items():
        pairs = [(v.double(), r.double(), _precision(r)) for v, r in zip(values, returned, strict=True)]
        if all(_equal(v, r, precision) for v, r, precision in pairs):
            as_they_are[name] = "softmax"
            continue
        by = next((by for by in _SQUASHED if all(_squashed(by, *pair) for pair in pairs)), None)
        if by is not None:
            squashed[name] = by
    # The logits of what is returned as probabilities, if there is a layer that gives them.
    found = squashed or {name: by for name, by in as_they_are.items() if name not in lineage.squashes}
    if lineal in found:
        return Output(lineal, found[lineal])
    if not found or _equal(returned[0][:1].double(), returned[0][1:].double(), 10 * _precision(returned[0])):
        return None
    return Output(*list(found.items())[-1])


def _precision(returned: Tensor) -> float:
    """The share of the largest value that rounding may change."""
    return max(1e-4, 4 * torch.finfo(returned.dtype).eps) if returned.is_floating_point() else 1e-4


def _equal(values: Tensor, returned: Tensor, precision: float, floor: float = 0.0) -> bool:
    if values.shape != returned.shape:
        return False
    difference = (values - returned).abs().max().item()
    return difference <= precision * returned.abs().max().item() + floor


def _squashed(by: Squash, values: Tensor, returned: Tensor, precision: float) -> bool:
    """Whether softmax, log-softmax or sigmoid of `values` is what was returned: by the logarithms, which tell
    more where a picture is given one class with all certainty."""
    if values.shape != returned.shape:
        return False
    logs = returned.clamp_min(TINY).log()
    expected = _SQUASHED[by](values)
    return any(
        _equal(expected.clamp_min(math.log(TINY)), of, precision, floor=10 * precision**2)
        for of in ((logs, returned) if by == "softmax" else (logs,))
    )
