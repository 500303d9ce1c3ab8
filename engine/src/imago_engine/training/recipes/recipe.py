"""What every way to train a generator provides; `Training` is one loop over any of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from imago_engine.synthesis.generators.prior import CodePrior
from imago_engine.training.data.feed import Batch
from imago_engine.training.data.preparation import PreparedIndex
from imago_engine.training.distributed.processes import ALONE, Processes
from imago_engine.training.options import read_options
from imago_engine.training.recipes.feature_network import FeatureNetwork
from imago_engine.training.recipes.tapped_network import TappedNetwork
from imago_engine.training.results.code_statistics import CodeStatistics
from imago_engine.training.run.placement import Placement
from imago_engine.training.run.schedule import Schedule
from imago_engine.trainings import Preset, TrainingSettings


@dataclass(frozen=True)
class Context:
    """What a recipe is built in. `features` is the network that reconstructions are measured with, `second`
    another that a recipe may judge by; `prior` is there for options that ask for it.
    """

    index: PreparedIndex
    statistics: CodeStatistics
    features: FeatureNetwork
    placement: Placement = field(default_factory=Placement)
    processes: Processes = ALONE
    second: TappedNetwork | None = None
    prior: CodePrior | None = None

    @property
    def code_size(self) -> int:
        """Numbers of a code, whatever its shape."""
        return int(np.prod(self.index.code_shape))


class Recipe(ABC):
    """Networks, losses and optimizers, advanced by one batch a step.

    A subclass fills `modules` and `optimizers` (each with the name of the module whose parameters it trains);
    what is in them is what a checkpoint holds, together with `remembered`.
    """

    preset: ClassVar[Preset]
    """What it is to everybody: its options, sizes and defaults."""
    Options: ClassVar[type[TrainingSettings]]
    """The preset's settings, with what follows from the data; a checkpoint holds them."""
    shipped: ClassVar[str]
    """The module that is exported."""
    recommended: ClassVar[dict[str, Any]]
    """Parameters of the ascent that suit its generators."""
    before: ClassVar[Mapping[str, Any]] = {}
    """What options that came later are in checkpoints without them. Where they are that, checkpoints do not
    name them, so that earlier releases, which know no such option, go on with these."""

    def __init__(self, options: TrainingSettings, context: Context) -> None:
        self.options, self.context = options, context
        self.modules: dict[str, nn.Module] = {}
        self.optimizers: dict[str, tuple[torch.optim.Optimizer, str]] = {}

    @classmethod
    @abstractmethod
    def architecture(cls, options: Any, code_shape: tuple[int, ...]) -> tuple[str, dict[str, Any]]:
        """Architecture and arguments (see `imago_engine.synthesis.generators.architectures`) of what it
        trains.
        """

    @classmethod
    def completed(cls, options: Any, index: PreparedIndex) -> Any:
        """`options` of a new training with what follows from its data."""
        return options

    @classmethod
    def recorded_options(cls, facts: Mapping[str, Any]) -> Any:
        """The options of a checkpoint, which holds `facts` of them. Raises OptionsError."""
        return read_options(cls.Options, {**cls.before, **facts})

    def facts_of_options(self) -> dict[str, Any]:
        """What a checkpoint holds of them."""
        settled = self.options.model_dump()
        later = {name for name, value in self.before.items() if settled[name] == value}
        return {name: value for name, value in settled.items() if name not in later}

    @classmethod
    def taking_over(cls, options: Any, checkpoint: Mapping[str, Any]) -> Any:
        """`options` of a new training with what the networks of another's checkpoint settle; `checkpoint` are
        the options that it holds.
        """
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
                if isinstance(group["lr"], Tensor):  # a recorded step reads it where it is
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate

    def update(self, optimizer_name: str, loss: Tensor) -> None:
        """One step of an optimizer along `loss`, a mean over this process's pictures."""
        optimizer, _ = self.optimizers[optimizer_name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.context.processes.average_gradients(p for g in optimizer.param_groups for p in g["params"])
        optimizer.step()


def trained(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


@contextmanager
def frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Compute no gradients of these parameters meanwhile."""
    set_requires_grad(parameters, False)
    try:
        yield
    finally:
        set_requires_grad(parameters, True)


def set_requires_grad(parameters: list[nn.Parameter], wanted: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(wanted)
