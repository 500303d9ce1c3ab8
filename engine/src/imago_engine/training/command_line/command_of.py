"""The command that begins a training as a job does, for the description of its generator."""

from typing import Any

from imago_engine.training.command_line.flags import flag
from imago_engine.training_jobs import DataPlan, NewTraining, TrainJob
from imago_engine.trainings import PRESETS


def command_of(job: TrainJob) -> list[str]:
    """`train` with the names of its places and all that is not as its preset has it; what only this machine
    needs to know (limits of reading, intervals, device) is left out.
    """
    assert job.data is not None
    assert job.begin is not None
    arguments = ["train", *(place.shown for place in job.data.sources)]
    arguments += ["--run", "RUN" if job.folder.name is not None else str(job.folder.path)]
    for name, value in {**_beginning(job, job.begin), **_data(job.data, job.begin), **_course(job)}.items():
        values = value if isinstance(value, list) else [value]
        arguments += [flag(name), *map(str, values)]
    return arguments


def _beginning(job: TrainJob, begin: NewTraining) -> dict[str, Any]:
    usual = PRESETS[begin.preset].settings.model_fields
    changed = {
        name: value
        for name, value in begin.settings.model_dump(mode="json").items()
        if value is not None and value != usual[name].default
    }
    places = {"warm_start": begin.warm_start, "second_weights": job.second_weights}
    files = {name: place.shown for name, place in places.items() if place is not None}
    return {"preset": begin.preset, **files, **changed}


def _data(data: DataPlan, begin: NewTraining) -> dict[str, Any]:
    encoder, preset = data.encoder, PRESETS[begin.preset]
    settled: dict[str, Any] = {"input_size": preset.encoder_size, "image_size": preset.image_size}
    settled |= {
        name: DataPlan.model_fields[name].default for name in ("held_out", "minimum", "corrupt_share")
    }
    found = {**dict(encoder), **data.model_dump(include=set(settled))}
    return {
        name: value
        for name, value in found.items()
        if value is not None and (name not in settled or value != settled[name])
    }


def _course(job: TrainJob) -> dict[str, Any]:
    found = {
        "pictures": job.pictures,
        "until": None if job.until is None else job.until.isoformat(),
        "precision": job.precision,
    }
    return {name: value for name, value in found.items() if value is not None}
