"""Where and how a picture was made: kept beside it, never part of its digest."""

import os
import subprocess
from pathlib import Path
from typing import Any

import torch

from imago_engine.techniques import technique_named
from worker.process.devices import Device


def source_revision() -> str | None:
    """The revision of the code: `IMAGO_REVISION` (set when an image is built), else what git says, else
    None."""
    if revision := os.environ.get("IMAGO_REVISION"):
        return revision
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


class Provenance:
    """What stays the same for all pictures of one worker process."""

    def __init__(self, worker_id: str, device: Device) -> None:
        self.device = device
        self._constant: dict[str, Any] = {
            "torch": torch.__version__,
            "device": device.description,
            "dtype": str(device.dtype).removeprefix("torch."),
            "worker": worker_id,
            "revision": source_revision(),
        }

    def of(
        self,
        *,
        technique: str,
        lease_id: int,
        batch_size: int,
        group_size: int,
        seconds: float,
        skipped_steps: int,
    ) -> dict[str, Any]:
        """Provenance of one picture. `seconds` is the time of its whole batch of `batch_size` items, computed
        `group_size` at once; `skipped_steps` counts updates left out because the gradient was not finite."""
        return self._constant | {
            "engine": technique_named(technique).version,
            "lease": lease_id,
            "batch_size": batch_size,
            "group_size": group_size,
            "batch_seconds": round(seconds, 3),
            "skipped_steps": skipped_steps,
        }
