"""Items that are climbed together, and what they meet at one step."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from imago_engine.synthesis.objectives import UnitObjective


@dataclass
class Group:
    """Items that go through the networks together. `index` [M] is filled up to the group size by repetition;
    the first `count` are meant.
    """

    index: Tensor
    count: int
    objective: UnitObjective
    flat: Tensor | None = None
    """[M]: items that climb the input of the layer's activation function; None if there are none."""
    redirected: Tensor | None = None
    """[M]: items that had no gradient where they were to begin: while their unit is off, their gradient goes
    through the activation functions that switch it off. None if there are none."""
    off: Tensor | None = None
    """[M]: items that had none so either: while their unit is off, they climb its channel's mean over all
    places. None if there are none."""

    @property
    def kept(self) -> Tensor:
        """[count]: the group's items without those that fill it up."""
        return self.index[: self.count]


class Ascent(NamedTuple):
    """What a group's items meet at one step."""

    points: Tensor
    """[M, *shape of a point]: where they are."""
    activation: Tensor
    """[M]."""
    gradient: Tensor
    """[M, *shape of a point], of the activation by the point."""
    size: Tensor
    """[M]: the gradient's mean absolute value."""
    finite: Tensor
    """[M]: whether it is a number; the others stay where they are."""


def column(per_item: Tensor, like: Tensor) -> Tensor:
    """[N] → [N, 1, …] so that it goes with points."""
    return per_item.view(-1, *[1] * (like.ndim - 1))
