"""The arguments of the command line, and what they mean for a recipe's options."""

import argparse
import datetime
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from imago_engine.training.data.sources import SourceLimits
from imago_engine.training.recipes import OptionsError, Recipe, read_options
from imago_engine.training.run.placement import DEVICES, PRECISIONS
from imago_engine.trainings import (
    CORRUPT_SHARE,
    DEFAULT_CODE,
    DEFAULT_ENCODER,
    DEFAULT_PRESET,
    HELD_OUT,
    MINIMUM,
    PRESETS,
    EncoderRequest,
    Preset,
    TrainingChoices,
    TrainingSettings,
)
from imago_engine.validation import problems

Act = Callable[[argparse.Namespace, list[str]], int]


def build_parser(acts: Mapping[str, Act]) -> argparse.ArgumentParser:
    """`acts` by the names of the commands: train, resume, export, bounds."""
    parser = argparse.ArgumentParser(
        prog="python -m imago_engine.training", description="Train a generator that inverts an encoder."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=help, description=help, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        sub.set_defaults(act=acts[name])
        sub.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads, at most")
        return sub

    _add_train(command("train", "Prepare the data (once) and train."))

    sub = command("resume", "Go on from the latest checkpoint, exactly as if the training had not stopped.")
    sub.add_argument("run", type=Path, help="folder of the training")
    sub.add_argument(
        "--pictures", type=int, default=argparse.SUPPRESS, help="another plan: pictures to see in all"
    )
    _add_pace(sub)
    _add_placement(sub, "default: as before")

    sub = command("export", "Write the generator of the latest checkpoint and, beside it, its model card.")
    sub.add_argument("run", type=Path, help="folder of the training (it may be running)")
    sub.add_argument(
        "--out", type=Path, required=True, default=argparse.SUPPRESS, help="the .safetensors file to write"
    )
    sub.add_argument(
        "--recommended",
        type=json.loads,
        default=argparse.SUPPRESS,
        help="recipe parameters of the ascent to recommend, a JSON object; default: the preset's",
    )
    sub.add_argument("--float32", action="store_true", help="store weights as float32 instead of float16")

    sub = command("bounds", "Measure mean and standard deviation of an encoder's codes over pictures.")
    _add_sources(sub)
    sub.add_argument("--encoder-size", type=int, default=128, help="pixels at which pictures are encoded")
    sub.add_argument(
        "--out",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        help="the .safetensors file: code_mean, code_std, code_lower",
    )
    _add_device(sub)
    return parser


def _add_train(sub: argparse.ArgumentParser) -> None:
    def by_preset(value: Callable[[Preset], object]) -> str:
        return "default: " + ", ".join(f"{value(preset)} (preset {name})" for name, preset in PRESETS.items())

    _add_sources(sub)
    # Nothing is the default of what is required, and its help should not say None.
    sub.add_argument(
        "--run",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        help="folder of this training, new or prepared",
    )
    sub.add_argument("--preset", choices=PRESETS, default=DEFAULT_PRESET, help="the recipe")
    sub.add_argument(
        "--encoder-size",
        type=int,
        default=argparse.SUPPRESS,
        help=_described(EncoderRequest, "input_size")
        + "; "
        + by_preset(lambda preset: preset.encoder_size or "the encoder's own"),
    )
    sub.add_argument(
        "--image-size",
        type=int,
        default=argparse.SUPPRESS,
        help=_described(TrainingChoices, "image_size")
        + ": "
        + ", ".join(
            f"{' or '.join(map(str, preset.image_sizes))} (preset {name})" for name, preset in PRESETS.items()
        )
        + "; "
        + by_preset(lambda preset: preset.image_size),
    )
    sub.add_argument(
        "--pictures",
        type=int,
        default=argparse.SUPPRESS,
        help=f"{_described(TrainingChoices, 'pictures')}; "
        + by_preset(lambda preset: f"{preset.pictures:,}"),
    )
    _add_pace(sub)
    _add_placement(sub, "default: float32")
    sub.add_argument(
        "--warm-start",
        type=Path,
        default=argparse.SUPPRESS,
        help="start from this generator file instead of from random weights",
    )
    for name, kind, default in (
        ("held_out", int, HELD_OUT), ("minimum", int, MINIMUM), ("corrupt_share", float, CORRUPT_SHARE),
    ):  # fmt: skip
        help = _described(TrainingChoices, name)
        sub.add_argument(_option(name), type=kind, default=default, help=help)
    for name, by_preset_name in _preset_options().items():
        field = next(iter(by_preset_name.values()))
        described = TrainingChoices if name in TrainingChoices.model_fields else field
        defaults = ", ".join(
            f"{_shown(option.default)} (preset {preset})" for preset, option in by_preset_name.items()
        )
        sub.add_argument(
            _option(name),
            default=argparse.SUPPRESS,
            **_argument_type(field),
            help=_described(described, name) + ("" if field.default is None else f"; default: {defaults}"),
        )


def _add_sources(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "sources",
        nargs="+",
        type=Path,
        help="image folder, WebDataset .tar (or a folder of them), packed .npz",
    )
    sub.add_argument(
        "--data-root",
        type=Path,
        default=argparse.SUPPRESS,
        help="symbolic links among the sources are followed to files below it; default: below each source",
    )
    limits = SourceLimits()
    sub.add_argument(
        "--largest-picture",
        type=int,
        default=limits.picture // 2**20,
        metavar="MIB",
        help="an encoded picture of more is left out",
    )
    sub.add_argument(
        "--largest-archive",
        type=int,
        default=limits.unpacked // 2**30,
        metavar="GIB",
        help="a compressed archive that unpacks to more is an error",
    )
    sub.add_argument("--encoder", default=DEFAULT_ENCODER, help="id of the network whose codes are inverted")
    usual = EncoderRequest.model_fields["layer"].default
    best = f"{DEFAULT_CODE['layer']} with --encoder-grid {DEFAULT_CODE['grid']}"
    sub.add_argument(
        "--encoder-layer",
        default=argparse.SUPPRESS,
        help=f"its layer, by dotted name; default: {best}, {usual} of others",
    )
    sub.add_argument(
        "--encoder-grid",
        type=int,
        default=argparse.SUPPRESS,
        help=_described(EncoderRequest, "grid"),
    )


def _add_pace(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--until",
        type=_deadline,
        default=argparse.SUPPRESS,
        help="end by then at the latest (ISO 8601 time, UTC): the schedule adapts",
    )
    for name in ("checkpoint", "sample"):
        field = TrainingChoices.model_fields[f"{name}_seconds"]
        help = f"seconds; {_described(TrainingChoices, f'{name}_seconds')}"
        sub.add_argument(f"--{name}-every", type=float, default=field.default, help=help)
    sub.add_argument("--log-every", type=float, default=20, help="seconds")


def _add_device(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--device", choices=DEVICES, default="auto", help="auto takes CUDA where it is there")


def _add_placement(sub: argparse.ArgumentParser, default: str) -> None:
    _add_device(sub)
    sub.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=argparse.SUPPRESS,
        help=f"of the networks' arithmetic; losses and weights stay float32; {default}",
    )


def _deadline(text: str) -> float:
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO 8601 time, such as 2027-01-31T19:25") from error
    return (when if when.tzinfo else when.replace(tzinfo=datetime.UTC)).timestamp()


def _preset_options() -> dict[str, dict[str, FieldInfo]]:
    """What presets settle, by the name of the option, then of the preset."""
    found: dict[str, dict[str, FieldInfo]] = {}
    for id, preset in PRESETS.items():
        for name, field in preset.settings.model_fields.items():
            found.setdefault(name, {})[id] = field
    return found


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _described(model: type[BaseModel] | FieldInfo, name: str) -> str:
    """A field's description as help has it: null of JSON is what is not given."""
    field = model if isinstance(model, FieldInfo) else model.model_fields[name]
    text = (field.description or "").replace("; null for ", "; default: ").replace("%", "%%")
    return text[:1].lower() + text[1:]


def _argument_type(field: FieldInfo) -> dict[str, Any]:
    kind: Any = field.annotation
    if isinstance(field.default, list):
        return {"type": int, "nargs": "+"}
    return {"type": next((option for option in get_args(kind) if option is not type(None)), kind)}


def _shown(default: Any) -> str:
    return " ".join(map(str, default)) if isinstance(default, list) else f"{default}"


def chosen_encoder(arguments: argparse.Namespace) -> EncoderRequest:
    """Network, layer, grid and size of the codes: those that were given, or those that measured best. Raises
    OptionsError.
    """
    names = {
        "network": "encoder",
        "layer": "encoder_layer",
        "input_size": "encoder_size",
        "grid": "encoder_grid",
    }
    given = {field: getattr(arguments, name) for field, name in names.items() if hasattr(arguments, name)}
    try:
        return EncoderRequest.model_validate(given)
    except ValidationError as error:
        (field, *_), message = next(problems(error))
        raise OptionsError(f"{_option(names[str(field)])}: {message}") from error


def chosen_options(recipe: type[Recipe], arguments: argparse.Namespace) -> TrainingSettings:
    """The recipe's options with those that were given. Raises OptionsError for one that it does not take."""
    given = {name: value for name, value in vars(arguments).items() if name in _preset_options()}
    own = recipe.preset.settings.model_fields
    for name in given.keys() - own.keys():
        taken = ", ".join(map(_option, own))
        raise OptionsError(f"{_option(name)} is no option of preset {arguments.preset}; it takes {taken}")
    choices = {name: value for name, value in vars(arguments).items() if name in TrainingChoices.model_fields}
    read_options(TrainingChoices, choices)
    return read_options(recipe.Options, given)
