"""The run folder of one slice of a training, and what can be read in it while the process writes.

Each lease has a folder of its own: a worker that lost its lease, but does not know yet, cannot disturb its
successor on the same machine. The prepared data, which take long to make, move on to the next folder.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Measured:
    """Held-out metrics after so many pictures, and the grid that was drawn then, if it is whole."""

    pictures: int
    held_out: Mapping[str, float]
    grid: Path | None
    at: datetime


class TrainingFolder:
    """`path` is what the process is given as its run folder."""

    def __init__(self, cache: Path, training_id: str, fence: int) -> None:
        """Make the folder, with the prepared data of an earlier slice on this machine if there are any."""
        self._home = cache / "trainings" / training_id
        self.path = self._home / str(fence)
        self.path.mkdir(parents=True, exist_ok=True)
        self.checkpoint = self.path / "checkpoint.safetensors"
        self.log = self.path / "log.jsonl"
        self._adopt_prepared()

    @property
    def prepared(self) -> bool:
        """Whether the data are whole; the process writes the index last."""
        return (self.path / "prepared" / "index.json").exists()

    def checkpoint_time(self) -> int | None:
        """Changes with each checkpoint, which the process replaces atomically."""
        try:
            return self.checkpoint.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def snapshot(self) -> Path:
        """The checkpoint as it is now under another name, where the process does not replace it."""
        kept = self.path / "checkpoint.kept"
        kept.unlink(missing_ok=True)
        os.link(self.checkpoint, kept)
        return kept

    def log_snapshot(self) -> Path:
        """The log's whole lines as they are now, in another file."""
        kept = self.path / "log.kept"
        text = self.log.read_bytes() if self.log.exists() else b""
        kept.write_bytes(text[: text.rfind(b"\n") + 1])
        return kept

    def write_settings(self, command: list[str], warm_start: str | None) -> None:
        """What the generator's description will name: the command without the paths of this machine, and the
        sha256 of the file that the training started from, wherever it began."""
        file = self.path / "settings.json"
        settings = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**settings, "command": command, "warm_start": warm_start}, indent=1))

    def progress(self) -> dict[str, Any]:
        """`pictures`, `rate` (pictures a second) and `losses`, as the log said last."""
        found: dict[str, Any] = {}
        for entry in self._entries():
            found["pictures"] = entry["pictures"]
            if "rate" in entry:
                names = entry.keys() - {"pictures", "time", "rate"}
                found["rate"] = entry["rate"]
                found["losses"] = _finite({name: entry[name] for name in sorted(names)})
        return found

    def measured(self) -> Iterator[Measured]:
        """All measurements of the log; what was measured again after a checkpoint counts once."""
        entries = {int(entry["pictures"]): entry for entry in self._entries() if "held_out" in entry}
        for pictures, entry in entries.items():
            at = datetime.fromtimestamp(float(entry["time"]), UTC)
            yield Measured(pictures, _finite(entry["held_out"]), self._grid(pictures), at)

    def clear(self) -> None:
        """Remove all that is left of the training on this machine."""
        shutil.rmtree(self._home, ignore_errors=True)

    def _grid(self, pictures: int) -> Path | None:
        path = self.path / "grids" / f"{pictures:09d}.png"
        try:
            with path.open("rb") as file:
                file.seek(-len(_PNG_END), os.SEEK_END)
                return path if file.read() == _PNG_END else None
        except OSError:
            return None

    def _entries(self) -> Iterator[dict[str, Any]]:
        """The log's whole lines; the process may be writing the last one."""
        try:
            text = self.log.read_text()
        except FileNotFoundError:
            return
        for line in text.splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and "pictures" in entry:
                    yield entry

    def _adopt_prepared(self) -> None:
        for other in sorted(self._home.iterdir()):
            if other == self.path:
                continue
            if not self.prepared and (other / "prepared" / "index.json").exists():
                os.rename(other / "prepared", self.path / "prepared")
            shutil.rmtree(other, ignore_errors=True)


def kept_trainings(cache: Path) -> list[str]:
    """Ids of trainings of which this machine keeps something."""
    folder = cache / "trainings"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def drop_training(cache: Path, training_id: str) -> None:
    """Remove what this machine keeps of a training."""
    shutil.rmtree(cache / "trainings" / training_id, ignore_errors=True)


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    """JSON has no NaN, which a measurement of nothing gives."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
