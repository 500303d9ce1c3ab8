"""Carry out a job, and tell how it ended whatever happens."""

from collections.abc import Callable
from typing import Literal

import torch

from imago_engine.generators import GeneratorFileError
from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.synthesis.networks.load import NetworkError
from imago_engine.synthesis.networks.truncate import LayerError
from imago_engine.synthesis.sources.network_source import OutOfReach
from imago_engine.training.data.preparation import DataError, DataUnread
from imago_engine.training.data.sources import SourceError, SourceUnread
from imago_engine.training.jobs.bounds import measure_bounds
from imago_engine.training.jobs.export import export
from imago_engine.training.jobs.names import Names
from imago_engine.training.jobs.pack import pack_pictures
from imago_engine.training.jobs.train import train
from imago_engine.training.options import OptionsError
from imago_engine.training.run.checkpoint import CheckpointError, NotRead, NotWritten, OtherData
from imago_engine.training.run.folder import FolderInUse
from imago_engine.training.run.loop import Diverged
from imago_engine.training.run.placement import PlacementError
from imago_engine.training_events import Failed, FailureCode, TrainingEvent
from imago_engine.training_jobs import BoundsJob, ExportJob, Job, PackJob, TrainJob

Tell = Callable[[TrainingEvent], None]
Outcome = Literal["done", "failed", "stopped"]

_CODES: dict[type[Exception], FailureCode] = {
    OtherData: "other_data",
    CheckpointError: "checkpoint",
    DataError: "data",
    Diverged: "diverged",
    FolderInUse: "folder_in_use",
    GeneratorFileError: "generator",
    LayerError: "network",
    NetworkError: "network",
    OptionsError: "options",
    PlacementError: "device",
    SourceError: "source",
    torch.AcceleratorError: "device",
    OSError: "files",
}
_PASSING = (DataUnread, FolderInUse, NotRead, NotWritten, OSError, OtherData, OutOfReach, SourceUnread)
"""What lies at this machine now, beside memory that others hold: a full disk, a share that is away, other
pictures under the same name."""

_NO_MEMORY = "memory is too small, or others hold it; try a smaller --batch: "


def carry_out(job: Job, tell: Tell) -> Outcome:
    """Do all that the job says. What went wrong is told as `Failed`; what nobody foresaw is raised as well.

    `tell` gets events without paths of this machine where the job has names for them.
    """
    names = Names(job)
    if job.threads is not None:
        torch.set_num_threads(job.threads)

    def tell_named(event: TrainingEvent) -> None:
        tell(names.put_into(event))

    try:
        match job:
            case TrainJob():
                return "done" if train(job, tell_named) else "stopped"
            case ExportJob():
                export(job, tell_named)
            case BoundsJob():
                measure_bounds(job, tell_named)
            case PackJob():
                pack_pictures(job, tell_named)
    except Exception as error:
        code = _code_of(error)
        if code is None:
            tell_named(Failed(code="unexpected", message=f"{type(error).__name__}: {error}"[:1000]))
            raise
        advice = _NO_MEMORY if code == "memory" else ""
        passing = isinstance(error, _PASSING) or is_exhaustion(error)
        tell_named(Failed(code=code, message=f"{advice}{error}", passing=passing))
        return "failed"
    return "done"


def _code_of(error: Exception) -> FailureCode | None:
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    return "memory" if is_exhaustion(error) else None
