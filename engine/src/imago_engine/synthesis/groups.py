"""What the items of a climb have in common, groups of them, and what they meet at one step."""

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from torch import Tensor

from imago_engine.synthesis.computing.captured_step import Recorder
from imago_engine.synthesis.computing.thread_groups import Run
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.anatomy import TracedLayer
from imago_engine.synthesis.networks.fast_copies import FastPrefix
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.predict import Predicting
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.objectives import UnitObjective
from imago_engine.techniques import BaseParameters

Parameters = TypeVar("Parameters", bound=BaseParameters)


@dataclass(frozen=True)
class Context(Generic[Parameters]):
    """What the items of one climb have in common.

    `prefix` is the network up to `layer`; `fast_prefix` is the same, faster and rounded otherwise, for steps.
    `run` computes groups of `group_size` items side by side; steps may take smaller ones, of no fewer than
    one of `least_sizes`. `recorder` records steps, or is None.
    `generator` is None only for techniques that do not need one.
    """

    network: Network
    generator: Generator | None
    layer: TracedLayer
    prefix: Prefix
    fast_prefix: FastPrefix
    predicting: Predicting
    input_size: int
    parameters: Parameters
    group_size: int
    least_sizes: tuple[int, ...]
    run: Run
    recorder: Recorder | None


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

    @property
    def is_usual(self) -> bool:
        """Whether all items climb nothing but their units, as they are."""
        return self.flat is None and self.redirected is None and self.off is None


class StepInputs(NamedTuple):
    """What tells one step of one group from another, on the device."""

    step: Tensor
    """int64 [1]."""
    items: Tensor
    """int64 [M]: the group's."""


class Slope(NamedTuple):
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
