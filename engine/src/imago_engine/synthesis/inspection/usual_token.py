"""The token that a transformer's units are read at unless another is asked for.

It is the class token, where the network makes its answer of one, else the patch at the centre of the picture.
Both are found by running the network: names and orders of tokens differ from library to library.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isqrt

import torch
from torch import Tensor

from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.synthesis.inspection.gradient_reach import Also
from imago_engine.synthesis.inspection.returned_scores import Scores
from imago_engine.synthesis.networks.run import Run

CLEAR = 2.0
"""How many times as much as any other patch the one at the centre must change with the picture's centre."""
LOCAL = 0.5
"""Share of a layer's change that is in one patch where the layer is asked alone; else all with as many tokens
are asked together."""


def usual_tokens(
    special: Mapping[int, Sequence[int]],
    counts: Mapping[str, int],
    picture: Tensor,
    scores: Scores | None,
    look: Callable[[Tensor, Also], Run],
    least_batch: int,
) -> dict[str, int]:
    """The usual token of each layer that has tokens.

    `special` are, by the number of tokens, those that do not come from the picture, and `counts` the number
    of tokens of each layer. `look` runs the network on pictures like `picture` [1, 3, S, S], at least
    `least_batch` at once.
    """
    used = _used(counts, picture.expand(least_batch, -1, -1, -1), scores, look)
    centres = _centres(special, counts, picture, look)
    found = {}
    for name, count in counts.items():
        own = special.get(count, ())
        of_answer = [token for token in own if count not in used or token in used[count]]
        found[name] = of_answer[0] if of_answer else centres[name]
    return found


def _used(
    counts: Mapping[str, int], pictures: Tensor, scores: Scores | None, look: Callable[[Tensor, Also], Run]
) -> dict[int, list[int]]:
    """By the number of tokens, those of the last layer with so many that the answer is made of. What cannot
    be told, as behind a head of zeros, is left out."""
    last: dict[int, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        if name in counts and output.requires_grad:
            last[counts[name]] = output

    x = pictures.clone(memory_format=torch.preserve_format).requires_grad_()
    run = look(x, keep)
    if scores is None or not scores.has(run.result) or not last:
        return {}
    answer = scores.of(run.result)
    if not answer.requires_grad:
        return {}
    try:
        gradients: Sequence[Tensor | None] = torch.autograd.grad(
            answer.abs().sum(), list(last.values()), allow_unused=True
        )
    except RuntimeError as error:
        if is_exhaustion(error):
            raise
        return {}
    found = {
        # [N, T, C] → [T]; [T, C] of a network that drops the batch of one
        count: gradient.reshape(-1, count, gradient.shape[-1]).ne(0).any(-1).any(0).nonzero()[:, 0].tolist()
        for count, gradient in zip(last, gradients, strict=True)
        if gradient is not None
    }
    return {count: tokens for count, tokens in found.items() if tokens}


@torch.no_grad()
def _centres(
    special: Mapping[int, Sequence[int]],
    counts: Mapping[str, int],
    picture: Tensor,
    look: Callable[[Tensor, Also], Run],
) -> dict[str, int]:
    """By layer, the patch at the centre of the picture: the one that changes with it.

    Behind attention that changes all tokens, and where none stands out, the layers with as many tokens decide
    together, or else the order in which a picture is read.
    """
    changes: dict[str, Tensor] = {}

    def compare(name: str, output: Tensor) -> None:
        if name not in counts:
            return
        change = (output[0].float() - output[1].float()).norm(dim=-1)  # [2, T, C] → [T]
        change[list(special.get(counts[name], ()))] = 0
        total = float(change.sum())
        if 0 < total < float("inf"):
            changes[name] = change / total

    at = picture.shape[-1] // 2
    pair = picture.repeat(2, 1, 1, 1)
    # One pixel lies within one patch, also where patches overlap.
    pair[1, :, at, at] = 1 - pair[1, :, at, at].round()
    look(pair, compare)
    together: dict[int, Tensor] = {}
    for name, change in changes.items():
        together[counts[name]] = together.get(counts[name], torch.zeros_like(change)) + change
    found = {}
    for name, count in counts.items():
        own = changes.get(name)
        telling = own if own is not None and float(own.max()) >= LOCAL else together.get(count)
        clear = None if telling is None else _clear(telling)
        found[name] = _middle(count, special.get(count, ())) if clear is None else clear
    return found


def _clear(change: Tensor) -> int | None:
    """The token that changes most, None if another one changes nearly as much."""
    most = change.topk(min(2, len(change)))
    clear = float(most.values[0]) >= CLEAR * float(most.values[1:].sum())
    return int(most.indices[0]) if clear else None


def _middle(count: int, special: Sequence[int]) -> int:
    """The centre of the patches, taken to be in reading order: (H // 2, W // 2) of a square."""
    patches = [token for token in range(count) if token not in special] or list(range(count))
    side = isqrt(len(patches))
    whole = side * side == len(patches)
    return patches[(side // 2) * side + side // 2 if whole else len(patches) // 2]
