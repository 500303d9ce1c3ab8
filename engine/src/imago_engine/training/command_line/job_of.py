"""From the arguments of the command line to a job."""

import argparse
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from imago_engine.training.command_line import burst
from imago_engine.training.command_line.arguments import preset_options
from imago_engine.training.command_line.flags import flag
from imago_engine.training.options import OptionsError, options_error, read_options
from imago_engine.training_jobs import (
    BoundsJob,
    DataPlan,
    ExportJob,
    Job,
    NewTraining,
    PackJob,
    Place,
    Reading,
    TrainJob,
)
from imago_engine.trainings import DEFAULT_PRESET, PRESETS, EncoderRequest, Preset, TrainingChoices

Model = TypeVar("Model", bound=BaseModel)
_BOUNDS_SIZE = 128
_FLOATS = {"checkpoint_seconds", "sample_seconds"}
"""The command line takes parts of seconds."""


def job_of(arguments: argparse.Namespace) -> Job:
    """Raises OptionsError for what does not fit."""
    given = vars(arguments)
    match given["command"]:
        case "train":
            return _train(given)
        case "burst":
            return _burst(given)
        case "pack":
            weights = dict(given.get("weights", []))
            return _made(PackJob, given, **_read_from(given), weights=weights)
        case "export":
            return _made(ExportJob, given, folder=Place(path=given["folder"]))
        case "bounds":
            encoder = _encoder({"input_size": _BOUNDS_SIZE, **given})
            return _made(BoundsJob, given, **_read_from(given), encoder=encoder)
    return _train_job(given)


def _burst(given: dict[str, Any]) -> TrainJob:
    folder = given["folder"]
    if burst.is_begun(folder):
        return _train_job(burst.going_on(given))
    if not given["sources"]:
        raise OptionsError(f"{folder} holds no training yet: name pictures to begin one with")
    return _train(burst.begun(given))


def _train(given: dict[str, Any]) -> TrainJob:
    preset = PRESETS[given.get("preset", DEFAULT_PRESET)]
    own = preset.settings.model_fields
    for name in given.keys() & preset_options().keys() - own.keys():
        taken = ", ".join(map(flag, own))
        raise OptionsError(f"{flag(name)} is no option of preset {preset.id}; it takes {taken}")
    chosen = {name for name in TrainingChoices.model_fields if name not in _FLOATS}
    choices = read_options(TrainingChoices, {name: given[name] for name in given.keys() & chosen}, flag)
    encoder = _encoder({"input_size": preset.encoder_size, **given})
    plan = _made(
        DataPlan,
        given,
        **_read_from(given),
        encoder=encoder,
        image_size=choices.image_size or preset.image_size,
    )
    warm_start = given.get("warm_start")
    begin = NewTraining(
        preset=preset.id,
        settings=_settings(preset, choices, {name: given[name] for name in given.keys() & own.keys()}),
        warm_start=None if warm_start is None else Place(path=warm_start),
    )
    return _train_job(given, data=plan, begin=begin)


def _train_job(given: dict[str, Any], **fields: Any) -> TrainJob:
    places = {name: Place(path=given[name]) for name in ("folder", "second_weights") if name in given}
    return _made(TrainJob, given, **places, **fields)


def _settings(preset: Preset, choices: TrainingChoices, given: dict[str, Any]) -> Any:
    options = {name: value for name, value in given.items() if name not in TrainingChoices.model_fields}
    try:
        return preset.settled(choices, options)
    except ValidationError as error:
        raise options_error(error, preset.settings, flag) from error


def _encoder(given: dict[str, Any]) -> EncoderRequest:
    """Network, layer, grid and size of the codes: those that were given, or those that measured best."""
    fields = given.keys() & EncoderRequest.model_fields.keys()
    return read_options(EncoderRequest, {name: given[name] for name in fields}, flag)


def _read_from(given: dict[str, Any]) -> dict[str, Any]:
    root: Path | None = given.get("data_root")
    return {
        "sources": [Place(path=path) for path in given["sources"]],
        "reading": _made(Reading, given, data_root=None if root is None else Place(path=root)),
    }


def _made(model: type[Model], given: dict[str, Any], **fields: Any) -> Model:
    """With those of the arguments that are its fields."""
    own = {name: value for name, value in given.items() if name in model.model_fields}
    return read_options(model, {**own, **fields}, flag)
