"""From a training that was asked for to the job of its process."""

from collections.abc import Sequence
from pathlib import Path

from imago_engine.training_jobs import DataPlan, NewTraining, Place, Reading, TrainJob
from imago_engine.trainings import DEFAULT_PRESET, PRESETS, Preset
from services.base.settings import Settings
from services.trainings.request import TrainingRequest

LOG_SECONDS = 10
"""Between reports of progress, at most: what people see of a training that runs."""


def training_job(
    request: TrainingRequest,
    settings: Settings,
    *,
    folder: Path,
    sources: Sequence[Path],
    begins: bool,
    warm_start: Path | None = None,
) -> TrainJob:
    """All three parts of a training in one process; what is done already is not done again.

    `begins`: not from the checkpoint in `folder` but anew, from the generator file `warm_start` if there is
    one. Messages call files what the person who asked for the training called them.
    """
    preset = PRESETS[request.preset or DEFAULT_PRESET]
    return TrainJob(
        folder=Place(path=folder.resolve(), name="the run folder"),
        data=_data(request, settings, sources, preset),
        begin=_beginning(request, preset, warm_start) if begins else None,
        pictures=request.pictures,
        until=request.until,
        precision=request.precision,
        checkpoint_seconds=request.checkpoint_seconds,
        sample_seconds=request.sample_seconds,
        log_seconds=min(LOG_SECONDS, request.sample_seconds),
        threads=settings.threads,
        device="cpu" if settings.device == "cpu" else "auto",
    )


def _data(request: TrainingRequest, settings: Settings, sources: Sequence[Path], preset: Preset) -> DataPlan:
    root = settings.data_root
    encoder = request.encoder
    limits = {name: getattr(request, name) for name in ("held_out", "minimum", "corrupt_share")}
    return DataPlan(
        sources=[Place(path=path, name=name) for path, name in zip(sources, request.sources, strict=True)],
        reading=Reading(
            data_root=None if root is None else Place(path=root.resolve(), name="the data root"),
            largest_picture_mib=settings.largest_picture_mib,
            largest_archive_gib=settings.largest_archive_gib,
        ),
        encoder=encoder.model_copy(update={"input_size": encoder.input_size or preset.encoder_size}),
        image_size=request.image_size or preset.image_size,
        **{name: value for name, value in limits.items() if value is not None},
    )


def _beginning(request: TrainingRequest, preset: Preset, warm_start: Path | None) -> NewTraining:
    return NewTraining(
        preset=preset.id,
        settings=preset.settled(request, request.options),
        warm_start=None
        if warm_start is None
        else Place(path=warm_start.resolve(), name=f"{request.warm_start}.safetensors"),
    )
