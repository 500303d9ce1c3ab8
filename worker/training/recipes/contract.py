"""What every way to train a generator provides; `Training` is one loop over any of them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from worker.training.bounds import CodeStatistics
from worker.training.features import FeatureNetwork
from worker.training.feed import Batch
from worker.training.placement import Placement
from worker.training.preparation import PreparedIndex
from worker.training.schedule import Schedule
from worker.training.world import ALONE, World


class OptionsError(ValueError):
    """Options of a training that do not fit each other or its data; the message names them."""


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """What a training is, apart from its data and its schedule; a checkpoint holds it. `batch` counts the
    pictures of a step over all processes.
    """

    batch: int = 32
    seed: int = 0
    learning_rate: float = 3e-4

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise OptionsError(f"--batch {self.batch}: expected at least 2 pictures")
        if not self.learning_rate > 0:
            raise OptionsError(f"--learning-rate {self.learning_rate}: expected a number above 0")

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Self:
        """From a checkpoint, where tuples are lists and options that came later are missing."""
        known = {option.name for option in fields(cls)}
        if unknown := facts.keys() - known:
            raise OptionsError(
                f"the options {sorted(unknown)} are unknown to this version; it knows {sorted(known)}"
            )
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()}
        return cls(**values)


@dataclass(frozen=True)
class Context:
    """What a recipe is built in. `features` is the network that reconstructions are measured with."""

    index: PreparedIndex
    statistics: CodeStatistics
    features: FeatureNetwork
    placement: Placement = field(default_factory=Placement)
    world: World = ALONE

    @property
    def code_size(self) -> int:
        """Numbers of a code, whatever its shape."""
        return int(np.prod(self.index.code_shape))


class Recipe(ABC):
    """Networks, losses and optimizers, advanced by one batch a step.

    A subclass fills `modules` and `optimizers` (each with the name of the module whose parameters it trains);
    what is in them is what a checkpoint holds, together with `remembered`.
    """

    Options: ClassVar[type[RecipeOptions]]
    pictures: ClassVar[int]
    """The plan where none is given: pictures to see, repeats included."""
    image_sizes: ClassVar[tuple[int, ...]]
    """Pixels of the pictures that its generators make, the usual size first."""
    encoder_size: ClassVar[int | None]
    """Pixels at which pictures are encoded where none are given; None is the encoder's own size."""
    shipped: ClassVar[str]
    """The module that is exported."""
    recommended: ClassVar[dict[str, Any]]
    """Parameters of the ascent that suit its generators."""

    def __init__(self, options: RecipeOptions, context: Context) -> None:
        self.options, self.context = options, context
        self.modules: dict[str, nn.Module] = {}
        self.optimizers: dict[str, tuple[torch.optim.Optimizer, str]] = {}

    @classmethod
    @abstractmethod
    def architecture(cls, options: Any, code_shape: tuple[int, ...]) -> tuple[str, dict[str, Any]]:
        """Architecture and arguments (see `worker.synthesis.generators`) of what it trains."""

    @classmethod
    def completed(cls, options: Any, index: PreparedIndex) -> Any:
        """`options` of a new training with what follows from its data."""
        return options

    @property
    @abstractmethod
    def measured_at(self) -> int:
        """Pixels at which the feature network compares reconstructions with held-out pictures."""

    @abstractmethod
    def learning_rate(self, step: int, schedule: Schedule, now: float) -> float:
        """Of step `step` (0-based); `now` in seconds since the epoch."""

    @abstractmethod
    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Train on one batch; returns this process's losses, scalars without gradient."""

    @abstractmethod
    def reconstruct(self, codes: Tensor) -> Tensor:
        """What the shipped module makes of codes as the encoder gives them: RGB in [−1, 1], [N, 3, S, S]."""

    @abstractmethod
    def remembered(self) -> dict[str, Any]:
        """State beside modules and optimizers, as JSON."""

    @abstractmethod
    def recall(self, remembered: dict[str, Any]) -> None:
        """Undo `remembered`."""

    def set_learning_rate(self, rate: float) -> None:
        for optimizer, _ in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate

    def update(self, optimizer_name: str, loss: Tensor) -> None:
        """One step of an optimizer along `loss`, a mean over this process's pictures."""
        optimizer, _ = self.optimizers[optimizer_name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.context.world.average_gradients(p for g in optimizer.param_groups for p in g["params"])
        optimizer.step()


def trained(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def set_requires_grad(parameters: list[nn.Parameter], wanted: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(wanted)
