"""The last part of a training: the generator of its checkpoint, as a file that the product loads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from imago_engine.synthesis.generators.files import file_sha256
from imago_engine.training.results.export import write_generator
from imago_engine.training_events import Exported, TrainingEvent
from imago_engine.training_jobs import ExportJob

Tell = Callable[[TrainingEvent], None]


def export(job: ExportJob, tell: Tell) -> None:
    """Write the generator of the folder's latest checkpoint to where the job says."""
    dtype = torch.float32 if job.float32 else torch.float16
    write_and_tell(job.folder.path, job.out, tell, job.recommended, dtype)


def write_and_tell(
    folder: Path,
    out: Path,
    tell: Tell,
    recommended: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write the generator of the checkpoint in `folder` to `out`, with its card, and tell of both."""
    generator = write_generator(folder, out, recommended, dtype)
    shown = out.relative_to(folder) if out.is_relative_to(folder) else out
    tell(
        Exported(
            file=str(shown),
            card=str(shown.with_suffix(".md")),
            bytes=out.stat().st_size,
            sha256=file_sha256(out),
            description=generator.info.training,
        )
    )
