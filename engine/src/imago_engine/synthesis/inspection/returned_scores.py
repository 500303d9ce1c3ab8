"""Which tensor of what a network returns holds the scores of its classes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

NAMED = "logits"
"""The field of a dict or dataclass that is taken where several tensors could be meant."""
DEEPEST = 8
"""Containers within one another that are looked into: one may hold itself."""


@dataclass(frozen=True)
class Scores:
    """`path` leads from what the network returns to the scores [N, C] or [N, C, 1, 1]; it is empty for the
    result itself. `form` says what they are, None where their values do not tell."""

    path: tuple[Any, ...]
    form: str | None

    def tensor(self, result: Any) -> Tensor:
        """The tensor of the scores itself."""
        for step in self.path:
            result = result[step] if isinstance(result, Mapping | list | tuple) else getattr(result, step)
        tensor: Tensor = result
        return tensor

    def has(self, result: Any) -> bool:
        """Whether a result for other pictures has them too."""
        return self.path in [path for path, tensor in leaves(result) if tensor.ndim]

    def of(self, result: Any) -> Tensor:
        """The scores [N, C]. One picture's may lack the batch (after a bare squeeze)."""
        tensor = self.tensor(result)
        return tensor[None] if tensor.ndim == 1 else tensor.flatten(1)

    def logits(self, result: Any) -> Tensor | None:
        """Logits [N, C], or None where it is not clear that the network returns classes' scores."""
        scores = self.of(result).float()
        if self.form == "logits":
            return scores
        return scores.clamp_min(1e-38).log() if self.form == "probabilities" else None


def find_scores(result: Any) -> Scores | None:
    """The scores in a result for two pictures: its only tensor [2, C], or the one of a field `logits`;
    None without one, or where several could be meant.
    """
    found = [(path, tensor) for path, tensor in leaves(result) if _is_vector(tensor)]
    if len(found) > 1:
        found = [(path, tensor) for path, tensor in found if path == (NAMED,)]
    if len(found) != 1:
        return None
    path, tensor = found[0]
    return Scores(path, _form(tensor.flatten(1).detach().double()))


def leaves(result: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Tensor]]:
    """All tensors of a result with the steps that lead to them, each tensor once; sparse ones are none."""
    if isinstance(result, Tensor):
        return [(path, result)] if result.layout == torch.strided else []
    if len(path) == DEEPEST:
        return []
    if isinstance(result, Mapping):
        parts = list(result.items())
    elif isinstance(result, list | tuple):
        parts = list(enumerate(result))
    elif is_dataclass(result) and not isinstance(result, type):
        parts = [(f.name, getattr(result, f.name, None)) for f in fields(result)]
    else:
        return []
    found: list[tuple[tuple[Any, ...], Tensor]] = []
    for step, part in parts:
        for leaf in leaves(part, (*path, step)):
            if all(leaf[1] is not known for _, known in found):
                found.append(leaf)
    return found


def describe(result: Any) -> str:
    """What a network returns, in words that tell why scores are not found in it."""
    tensors = [tensor for _, tensor in leaves(result)]
    shapes = ", ".join(f"[N, {', '.join(map(str, tensor.shape[1:]))}]" for tensor in tensors[:3])
    kind = "" if isinstance(result, Tensor) else f"a {type(result).__name__} of "
    if len([tensor for tensor in tensors if _is_vector(tensor)]) > 1:
        return f"{kind}{shapes}, and nothing tells which of them are its logits"
    return f"{kind}{shapes or 'no tensors'}, where logits would be [N, classes]"


def _is_vector(tensor: Tensor) -> bool:
    shape = tensor.shape
    if tensor.is_complex():
        return False
    return len(shape) in (2, 4) and shape[0] == 2 and shape[1] > 1 and all(side == 1 for side in shape[2:])


def _form(values: Tensor) -> str | None:
    """Scores [2, C] that are a distribution are probabilities; all within [0, 1] may be those of classes that
    do not exclude each other."""
    if not bool(torch.isfinite(values).all()):
        return None
    if bool((values < 0).any()) or bool((values > 1).any()):
        return "logits"
    return "probabilities" if bool(((values.sum(1) - 1).abs() < 1e-3).all()) else None
