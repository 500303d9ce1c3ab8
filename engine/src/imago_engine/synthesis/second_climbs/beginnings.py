"""Where a second climb begins: at the best prototype whose picture gives its unit a gradient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from imago_engine.synthesis.climb import PATIENCE, ROUNDING
from imago_engine.synthesis.pictures import Item, Picture
from imago_engine.synthesis.starts.ranking import different_best, of_facet, own_prototype

PointsOf = Callable[[list[int]], Tensor]
"""Numbers [P] of prototypes → their points [P, *shape]."""
ActivationsAt = Callable[[Tensor, Tensor], Tensor]
"""Numbers of items [M] and points [M, *shape] → the activations [M] of their pictures there."""
CanClimb = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Numbers of items [M] and points [M, *shape] → whether the unit itself has a gradient there [M], and whether
anything has that can be climbed instead [M]."""


@dataclass(frozen=True)
class SecondStart:
    """Where the second climb of M items begins, and what their pictures have to reach."""

    points: Tensor
    """[M, *shape]: where it begins."""
    best: Tensor
    """[M, *shape]: the prototype that excites the unit most, or of other seeds the one that is theirs; it may
    have no gradient because it excites the unit as much as can be."""
    floors: tuple[float, ...]
    """What each picture has to reach."""
    least: tuple[float, ...]
    """What excites the unit least: one at the other end of a clip has no gradient either, and is reached."""

    def judged(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Pictures of the second climb, with the states that they deserve."""
        return [self._judged(picture, low) for picture, low in zip(pictures, self.least, strict=True)]

    def _judged(self, picture: Picture, least: float) -> Picture:
        if picture.activation > least + ROUNDING * abs(least):
            return replace(picture, status="done")
        return replace(picture, status="unreachable", trace=picture.trace[:PATIENCE])


class SecondStarts:
    """Chooses where items of a finished climb begin again, and what their pictures have to reach.

    It has N `items`. `known` [N] × [K] is how much each prototype excites each unit, None for a recipe that
    does not begin at prototypes: then items begin again where they began, `start` [N, *shape].
    """

    def __init__(
        self,
        items: Sequence[Item],
        start: Tensor,
        activations_at: ActivationsAt,
        known: Sequence[Tensor] | None,
    ) -> None:
        self._items, self._start, self._known = items, start, known
        self._activations_at = activations_at

    @cached_property
    def _at_start(self) -> list[float]:
        every = torch.arange(len(self._items), device=self._start.device)
        measured = self._activations_at(every, self._start)
        activations: list[float] = torch.where(measured.isnan(), -torch.inf, measured).tolist()
        return activations

    @cached_property
    def floors(self) -> list[float]:
        """What the picture of each item must reach: its start's activation, and its own prototype's."""
        if self._known is None:
            return [-torch.inf] * len(self._items)
        return [
            max(at_start, float(activations[own_prototype(activations, item)]))
            for item, activations, at_start in zip(self._items, self._known, self._at_start, strict=True)
        ]

    def of(self, numbers: Sequence[int], points_of: PointsOf, can_climb: CanClimb) -> SecondStart:
        """Where these items begin again."""
        candidates = [self._candidates(n, points_of) for n in numbers]
        counts = [len(points) for points in candidates]
        index = torch.tensor(numbers, device=self._start.device)
        own, anything = can_climb(
            index.repeat_interleave(torch.tensor(counts, device=index.device)), torch.cat(candidates)
        )
        points = []
        for n, by_own, by_any, tried in zip(
            numbers, torch.split(own, counts), torch.split(anything, counts), candidates, strict=True
        ):
            points.append(tried[_chosen(by_own, by_any, self._items[n].seed)])
        return SecondStart(
            torch.stack(points),
            torch.stack([self._best(n, points_of) for n in numbers]),
            tuple(self.floors[n] for n in numbers),
            tuple(self._least(n) for n in numbers),
        )

    def _candidates(self, n: int, points_of: PointsOf) -> Tensor:
        """[P, *shape]: prototypes, the best first, and last where the item began."""
        start = self._start[n : n + 1]
        return start if self._known is None else torch.cat([points_of(different_best(self._known[n])), start])

    def _best(self, n: int, points_of: PointsOf) -> Tensor:
        if self._known is None:
            return self._start[n]
        return points_of([own_prototype(self._known[n], self._items[n])])[0]

    def _least(self, n: int) -> float:
        if self._known is None:
            return self._at_start[n]
        finite = self._known[n][self._known[n].isfinite()]
        return float(finite.min()) if len(finite) else self._at_start[n]


def _chosen(by_own: Tensor, by_any: Tensor, seed: int) -> int:
    """Which of an item's candidates, the last of which is where it began: the best whose own unit has a
    gradient, of other seeds the next ones, else the best where anything can be climbed, else the first.
    """
    for can_climb in (by_own[:-1], by_own, by_any):
        found = can_climb.nonzero()[:, 0].tolist()
        if found:
            return int(of_facet(seed, found))
    return 0
