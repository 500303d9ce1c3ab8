"""Gradients of activations by points; of a unit that a clip cuts off, of its preactivation or of its channel
instead.

Where an activation function is a module, its input can be climbed (`networks.truncate`). Where it is a call
in `forward`, such as `F.relu6` or `clamp`, nothing says what it was given: a unit on the flat part of it has
no gradient. Its channel may have one at other places of the map, and what excites it there comes to excite it
here, since views are moved.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from imago_engine.synthesis.networks.truncate import Activations
from imago_engine.synthesis.objectives import UnitObjective


class Climbable(NamedTuple):
    """What M items can climb at their points."""

    activation: Tensor
    """[M]."""
    gradient: Tensor
    """[M, *shape of a point]: of what an item climbs, by its point."""
    is_own: Tensor
    """[M]: whether the unit itself has a gradient at its place."""


def climbable(look: Callable[[Tensor], Activations], points: Tensor, objective: UnitObjective) -> Climbable:
    """What leads up from points [M, …]: the unit's own gradient, or where that is zero, the gradient of what
    goes into the layer's last activation function, or else of the channel's mean over all places.

    It waits for the device, to spare the second gradient where every unit has its own.
    """
    points = points.detach().requires_grad_()
    output, before = look(points)
    activation = objective(output)
    gradient = gradient_of(activation, points, again=True)
    is_own = is_nonzero(gradient)
    if not bool(is_own.all()):
        goal = objective.over_places(output) if before is None else objective(before)
        other = gradient_of(goal, points)
        gradient = torch.where(is_own.view(-1, *[1] * (points.ndim - 1)), gradient, other)
    return Climbable(activation.detach(), gradient, is_own)


def is_nonzero(gradient: Tensor) -> Tensor:
    """[M, …] → [M]: whether a gradient is not zero everywhere; NaN counts as nonzero."""
    return (gradient != 0).flatten(1).any(1)


def gradient_of(goal: Tensor, points: Tensor, again: bool = False) -> Tensor:
    """The gradient of goals [M] by each one's own point, [M, *shape of a point]; zero where the network has
    cut them off from its input. With `again` the same output may be asked for another goal.
    """
    found: Tensor | None = None
    if goal.requires_grad:
        # The sum keeps items apart: each point reaches its own activation only.
        (found,) = torch.autograd.grad(goal.sum(), points, retain_graph=again, allow_unused=True)
    return torch.zeros_like(points) if found is None else found
