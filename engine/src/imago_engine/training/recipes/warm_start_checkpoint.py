"""Starting from the checkpoint of another training: of other data, batches or devices."""

from pathlib import Path
from typing import Any

from imago_engine.training.options import OptionsError
from imago_engine.training.run.checkpoint import CheckpointError, read_checkpoint, read_facts
from imago_engine.training.run.training import Training


def facts_of_checkpoint(file: Path) -> dict[str, Any] | None:
    """The facts of a training's state; None where a file is none, but a generator."""
    try:
        return read_facts(file)
    except CheckpointError:
        return None


def take_over(training: Training, file: Path) -> None:
    """Put networks and optimizers of a checkpoint into a new training, which begins at its own first step.

    Raises OptionsError where they are of another kind or size.
    """
    tensors, facts = read_checkpoint(file)
    preset = facts.get("preset", "default")
    if preset != training.preset:
        raise OptionsError(
            f"--warm-start {file}: expected a checkpoint of preset {training.preset}, not {preset}"
        )
    try:
        training.take_over(tensors)
    except (KeyError, RuntimeError) as error:
        raise OptionsError(
            f"--warm-start {file}: expected a checkpoint of networks of the same sizes ({_sizes(facts)}); "
            f"{str(error).splitlines()[-1].strip()}"
        ) from error


def _sizes(facts: dict[str, Any]) -> str:
    options = facts.get("options", {})
    return ", ".join(f"{name} {options[name]}" for name in ("widths", "second_network") if options.get(name))
