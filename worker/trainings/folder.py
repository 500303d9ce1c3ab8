"""The run folder of one slice of a training.

Each lease has a folder of its own: a worker that lost its lease, but does not know yet, cannot disturb its
successor on the same machine. The prepared data, which take long to make, move on to the next folder.
"""

import os
import shutil
import time
from pathlib import Path

from imago_engine.training.data.preparation import INDEX, forget_prepared
from imago_engine.training_events import EVENTS
from imago_engine.training_jobs import JOB


class TrainingFolder:
    """`path` is what the process is given as its run folder."""

    def __init__(self, cache: Path, training_id: str, lease_id: int) -> None:
        """Make the folder, with the prepared data of an earlier slice on this machine if there are any."""
        self._home = cache / "trainings" / training_id
        self.path = self._home / str(lease_id)
        self.path.mkdir(parents=True, exist_ok=True)
        self.checkpoint = self.path / "checkpoint.safetensors"
        self.log = self.path / "log.jsonl"
        self.job = self.path / JOB
        self.events = self.path / EVENTS
        self._adopt_prepared()

    @property
    def prepared(self) -> bool:
        """Whether the data are whole; the process writes the index last."""
        return (self.path / "prepared" / "index.json").exists()

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

    def forget_prepared(self, older_than_seconds: float) -> None:
        """Have the data prepared anew by the next slice, if they are older than that."""
        prepared = self.path / "prepared"
        index = prepared / INDEX
        if index.exists() and time.time() - index.stat().st_mtime > older_than_seconds:
            forget_prepared(prepared)

    def clear(self) -> None:
        """Remove all that is left of the training on this machine."""
        shutil.rmtree(self._home, ignore_errors=True)

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
