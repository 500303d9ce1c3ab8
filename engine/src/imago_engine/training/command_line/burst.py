"""A short training on a GPU that is lent: `burst` fills in what such a one needs."""

import datetime
from pathlib import Path
from typing import Any

from imago_engine.training_jobs import CHECKPOINT
from imago_engine.trainings import DEFAULT_PRESET
from imago_engine.weights import shipped_generator

MINUTES = 12.0
WITHOUT_END = 10**11
"""Pictures of the plan: the time alone says when it ends."""
COURSE: dict[str, Any] = {
    "resident": True,
    "checkpoint_seconds": 120.0,
    "sample_seconds": 120.0,
    "log_seconds": 10.0,
}
SETTINGS: dict[str, Any] = {
    "batch": 256,
    "precision": "bfloat16",
    "pictures": WITHOUT_END,
}
DEFAULT_SETTINGS: dict[str, Any] = {
    # A step is of eight times as many pictures as usual: the average must not look back eight times as far.
    "average_decay": 0.998,
}
"""Of the preset `default`."""
HEAD_START = 5000
"""Of its new discriminator, where it starts from a generator."""


def is_begun(folder: Path) -> bool:
    """Whether the folder's training was cut off before, and goes on."""
    return (folder / CHECKPOINT).exists()


def begun(given: dict[str, Any]) -> dict[str, Any]:
    """The options of `train` for a burst; those that were given stay as they are."""
    usual = {**COURSE, **SETTINGS, "until": _until(given)}
    if given.get("preset", DEFAULT_PRESET) == DEFAULT_PRESET:
        usual |= DEFAULT_SETTINGS
        if "network" not in given:
            usual["warm_start"] = shipped_generator()
        if "warm_start" in usual | given:
            usual["head_start"] = HEAD_START
    return {**usual, **given}


def going_on(given: dict[str, Any]) -> dict[str, Any]:
    """The options of `resume` for one: batch, precision and the rest are in its checkpoint."""
    return {**COURSE, "until": _until(given), **given}


def _until(given: dict[str, Any]) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=given.get("minutes", MINUTES))
