"""No picture excites its unit less than what its climb began with.

A climb looks at its picture through random views, in steps of one size: it may lose its unit, and where the
network cuts units off (`gradients`) it may never meet it. Such an item gets the best of its last points, or
a second climb from the best prototype that has a gradient.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from imago_engine.synthesis.climb import ROUNDING, Climb
from imago_engine.synthesis.pictures import Picture
from imago_engine.techniques.dgn_am import DgnAm

RECENT = 8
"""So many of an item's last points are looked at once more where the last one is not good enough."""


class Second(Protocol):
    def __call__(self, items: Sequence[int], /) -> Climb[DgnAm]:
        """A climb of some of the items, by their numbers, from where they have a gradient."""


def raised_to_floors(
    climb: Climb[DgnAm],
    pictures: Sequence[Picture],
    floors: Sequence[float],
    points: Sequence[Tensor],
    second: Second | None = None,
) -> list[Picture]:
    """The pictures of a finished climb, N of them; those that excite their units less than `floors` [N], and
    those of units that nothing moved, replaced where there is a better one.

    `points`, each [N, *shape of a point], are tried first, then a `second` climb.
    """
    kept = list(pictures)
    low = [
        n
        for n, one in enumerate(kept)
        # A unit that nothing moved is still where it began; a second climb began where it has moved before.
        if not reaches(one, floors[n]) and (one.status == "done" or second is None)
    ]
    for n, picture in zip(low, _best(climb, low, points), strict=True):
        kept[n] = max(kept[n], picture, key=_worth)
    low = [n for n, one in enumerate(kept) if one.status != "done" or not reaches(one, floors[n])]
    if second is not None and low:
        again = second(low)
        for step in range(again.parameters.steps):
            again.step(step)
            if again.ended:
                break
        for n, picture in zip(low, again.finish(), strict=True):
            kept[n] = max(kept[n], picture, key=_worth)
    return kept


def reaches(picture: Picture, floor: float) -> bool:
    """Whether a picture excites its unit as much as `floor`, up to rounding."""
    return picture.activation >= floor - ROUNDING * abs(floor)


def _best(climb: Climb[DgnAm], items: Sequence[int], points: Sequence[Tensor]) -> list[Picture]:
    """Of some items, the picture at the best of their points."""
    if not items:
        return []
    index = torch.tensor(items, device=climb.device)
    every = torch.stack([part[index] for part in points], 1)  # [M, P, *shape]
    values = climb.activations_at(index.repeat_interleave(len(points)), every.flatten(0, 1))
    best = values.view(len(items), len(points)).nan_to_num(-math.inf).argmax(1).to(climb.device)
    climb.points[index] = every[torch.arange(len(items), device=climb.device), best]
    return climb.pictures_of(index)


def _worth(picture: Picture) -> tuple[bool, float]:
    activation = picture.activation
    return picture.status == "done", activation if math.isfinite(activation) else -math.inf
