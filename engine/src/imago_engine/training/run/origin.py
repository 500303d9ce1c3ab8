"""How a training was begun, as its checkpoint and its folder tell."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BEFORE = "settings.json"
"""Where earlier releases wrote it, beside checkpoints that do not say it."""


@dataclass(frozen=True)
class Origin:
    """For the generator's description: the command that begins the same training, and the sha256 of the
    generator file that it started from, if any. Both are empty where nobody knows any more.
    """

    command: str = ""
    warm_start: str | None = None

    @property
    def published(self) -> str:
        """The command as a generator's file and card say it: without the folders of the machine."""
        return shlex.join(without_folders(word) for word in shlex.split(self.command))


def without_folders(value: str) -> str:
    """Of a path the file's name alone: a description goes to people whom folders do not concern."""
    return Path(value).name if "/" in value else value


def origin_of(facts: Mapping[str, Any], run_folder: Path) -> Origin:
    """Of a checkpoint with these facts; one that does not say it is of an earlier release, which wrote it
    into a file of the folder. Raises TypeError for facts that are none.
    """
    told = Origin(**facts.get("origin", {}))
    file = run_folder / _BEFORE
    if told.command or not file.exists():
        return told
    settings = json.loads(file.read_text())
    arguments = settings.get("command")
    command = f"python -m imago_engine.training {shlex.join(arguments)}" if arguments else ""
    return Origin(command, settings.get("warm_start"))
