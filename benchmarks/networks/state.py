"""What was tried so far, a line of JSON an architecture: a sweep can be ended and taken up again, on another
machine too."""

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.networks.trial import Trial


def read(path: Path) -> dict[str, Trial]:
    """The newest trial of each architecture. A line that was cut off by the end of a sweep counts as none."""
    found: dict[str, Trial] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            trial = Trial(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found[trial.id] = trial
    return found


def append(path: Path, trial: Trial) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(asdict(trial), ensure_ascii=False) + "\n")
