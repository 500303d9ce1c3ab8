"""One training: a recipe, its data and its schedule, advanced a step at a time and saved whole.

Everything random is drawn from the seed and the step's number, so a training that is killed and resumed goes
on exactly as if it had never stopped; there is no random state to save.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from torch import Tensor

from imago_engine.training.data.feed import Feed, as_pictures
from imago_engine.training.data.preparation import Prepared
from imago_engine.training.recipes import OptionsError, Recipe
from imago_engine.training.run.checkpoint import (
    CheckpointError,
    OtherData,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    with_prefix,
    without_prefix,
    write_atomically,
)
from imago_engine.training.run.origin import Origin, origin_of
from imago_engine.training.run.schedule import Schedule


class Training:
    """The state of a training and its step. `schedule` may differ from run to run, and so may the device and
    the number of processes; the rest is fixed by the first.
    """

    def __init__(
        self, prepared: Prepared, recipe: Recipe, schedule: Schedule, *, resident: bool = False
    ) -> None:
        options, self.processes = recipe.options, recipe.context.processes
        if prepared.index.train < options.batch:
            raise OptionsError(
                f"a batch of {options.batch} needs as many pictures, got {prepared.index.train}"
            )
        if options.batch % self.processes.size:
            raise OptionsError(
                f"a batch of {options.batch} cannot be shared equally by {self.processes.size} processes"
            )
        self.prepared, self.recipe, self.schedule = prepared, recipe, schedule
        self.placement = recipe.context.placement
        self.feed = Feed(
            prepared, options.batch, options.seed, self.placement, self.processes, resident=resident
        )
        self.origin = Origin()
        self.step_number = 0
        self.seconds = 0.0

    @property
    def preset(self) -> str:
        return self.recipe.preset.id

    @property
    def pictures(self) -> int:
        """Pictures seen so far, by all processes."""
        return self.step_number * self.recipe.options.batch

    def step(self, now: float | None = None) -> dict[str, Tensor]:
        """One step on one batch; `now` in seconds since the epoch. Returns this process's losses, scalars."""
        rate = self.recipe.learning_rate(self.step_number, self.schedule, time.time() if now is None else now)
        self.recipe.set_learning_rate(rate)
        losses = self.recipe.step(self.feed.take(self.step_number), self.step_number)
        self.step_number += 1
        return losses

    def pictures_of(self, rows: np.ndarray) -> Tensor:
        """RGB in [−1, 1], [N, 3, S, S], on the training's device."""
        return as_pictures(self.prepared.rows(rows)[0].to(self.placement.device))

    def reconstructions(self, rows: np.ndarray) -> Tensor:
        """What would be shipped now makes of the rows' codes: RGB in [−1, 1], [N, 3, S, S]."""
        return self.recipe.reconstruct(self.prepared.rows(rows)[1].to(self.placement.device))

    def save(self, path: Path) -> None:
        """Write everything that `restore` needs. Raises NotWritten when it cannot be written."""
        recipe = self.recipe
        tensors: dict[str, Tensor] = {}
        for name, module in recipe.modules.items():
            tensors |= with_prefix(module.state_dict(), name)
        for name, (optimizer, module_name) in recipe.optimizers.items():
            tensors |= optimizer_tensors(optimizer, recipe.modules[module_name], name)
        facts = {
            "preset": self.preset,
            "step": self.step_number,
            "seconds": self.seconds,
            "options": recipe.facts_of_options(),
            "schedule": asdict(self.schedule),
            "remembered": recipe.remembered(),
            "data": self.prepared.former_fingerprint,  # earlier releases, which know no other, go on too
            "data_by_pictures": self.prepared.fingerprint,
            "precision": self.placement.precision,
            "origin": asdict(self.origin),
            "computed_on": self.placement.description(self.processes.size),
        }
        write_atomically(path, tensors, {"facts": json.dumps(facts)})

    def take_over(self, tensors: dict[str, Tensor]) -> None:
        """Networks and optimizers from a checkpoint's tensors. Raises KeyError or RuntimeError where they do
        not fit.
        """
        recipe = self.recipe
        for name, module in recipe.modules.items():
            module.load_state_dict(without_prefix(tensors, name))
        for name, (optimizer, module_name) in recipe.optimizers.items():
            restore_optimizer(optimizer, recipe.modules[module_name], tensors, name)

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint. Raises CheckpointError when it is damaged, or of another training,
        OtherData when it is of other pictures.
        """
        tensors, facts = read_checkpoint(path)
        recipe = self.recipe
        # Checkpoints from before presets, fingerprints and origins lack these facts.
        if not self._is_of_these_data(facts.get("data_by_pictures"), facts.get("data")):
            raise OtherData(f"{path} belongs to other data than those prepared beside it")
        if facts.get("preset", "default") != self.preset:
            raise CheckpointError(f"{path} is of preset {facts['preset']}, not {self.preset}")
        try:
            self.take_over(tensors)
            self.step_number, self.seconds = int(facts["step"]), float(facts.get("seconds", 0.0))
            self.origin = origin_of(facts, path.parent)
            if facts.get("remembered"):
                recipe.recall(facts["remembered"])
        except (KeyError, RuntimeError, TypeError) as error:
            first_line = str(error).splitlines()[0]
            raise CheckpointError(f"{path} does not fit this training: {first_line}") from error

    def _is_of_these_data(self, by_pictures: str | None, former: str | None) -> bool:
        """Whether a checkpoint with these fingerprints is, as far as both sides tell."""
        if by_pictures is not None and self.prepared.fingerprint is not None:
            return by_pictures == self.prepared.fingerprint
        return former is None or former in (self.prepared.fingerprint, self.prepared.former_fingerprint)
