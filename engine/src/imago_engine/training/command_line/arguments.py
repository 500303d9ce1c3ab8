"""The arguments of the command line; all but their order comes from the models of a job."""

import argparse
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from imago_engine.training.command_line import burst
from imago_engine.training.command_line.flags import add_option, described
from imago_engine.training_jobs import (
    BoundsJob,
    DataPlan,
    ExportJob,
    NewTraining,
    PackJob,
    Reading,
    TrainJob,
)
from imago_engine.trainings import (
    DEFAULT_PRESET,
    PRESETS,
    EncoderRequest,
    Preset,
    TrainingChoices,
)


def build_parser() -> argparse.ArgumentParser:
    """Its namespace has `command` and the fields that were given."""
    parser = argparse.ArgumentParser(
        prog="python -m imago_engine.training", description="Train a generator that inverts an encoder."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def command(name: str, help: str, job: type[BaseModel] | None) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        if job is not None:
            add_option(sub, "threads", job.model_fields["threads"])
            add_option(sub, "device", job.model_fields["device"])
        return sub

    _add_train(command("train", "Prepare the data (once), train and export.", TrainJob))
    _add_resume(
        command(
            "resume",
            "Go on from the latest checkpoint, exactly as if the training had not stopped.",
            TrainJob,
        )
    )
    _add_export(
        command(
            "export",
            "Write the generator of the latest checkpoint and, beside it, its model card.",
            ExportJob,
        )
    )
    _add_bounds(
        command(
            "bounds", "Measure mean and standard deviation of an encoder's codes over pictures.", BoundsJob
        )
    )
    _add_pack(
        command(
            "pack",
            "Pack a random sample of many pictures, shrunk, into one .npz of a given size.",
            PackJob,
        )
    )
    _add_burst(
        command(
            "burst",
            "Train for some minutes on a GPU: large batches, bfloat16, data in its memory, from the shipped "
            "generator; cut off, the same command goes on.",
            TrainJob,
        )
    )
    sub = command(
        "run", "Carry out a job that another program has written; events.jsonl beside it tells.", None
    )
    sub.add_argument("job", type=Path, help="a job.json")
    return parser


def _add_pack(sub: argparse.ArgumentParser) -> None:
    fields = PackJob.model_fields
    _add_sources(sub, fields["sources"])
    for name in ("out", "mib", "size", "quality", "held_out", "seed"):
        add_option(sub, name, fields[name])
    sub.add_argument(
        "--weight",
        dest="weights",
        action="append",
        type=_weight,
        default=argparse.SUPPRESS,
        metavar="SOURCE=FACTOR",
        help="pictures of this source, named by its file or folder, are so many times likelier to be packed "
        "than those of weight 1; may be given several times",
    )


def _weight(text: str) -> tuple[str, float]:
    name, _, factor = text.rpartition("=")
    try:
        return name, float(factor)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no weight of a source, such as dogs.npz=2") from error


def _add_burst(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--minutes",
        type=float,
        default=argparse.SUPPRESS,
        help=f"from its start, preparation included and export not; default: {burst.MINUTES:g}",
    )
    _add_train(sub, sources="*")


def _add_train(sub: argparse.ArgumentParser, sources: str = "+") -> None:
    _add_sources(sub, DataPlan.model_fields["sources"], sources)
    add_option(sub, "folder", TrainJob.model_fields["folder"])
    sub.add_argument(
        "--preset",
        choices=PRESETS,
        default=argparse.SUPPRESS,
        help=f"the recipe; default: {DEFAULT_PRESET}",
    )
    _add_encoder(sub, _by_preset(lambda preset: preset.encoder_size or "the encoder's own"))
    choices = TrainingChoices.model_fields
    sizes = _by_preset(lambda preset: preset.image_size)
    add_option(sub, "image_size", choices["image_size"], default=f"{sizes}; {_sizes_made()}")
    pictures = _by_preset(lambda preset: f"{preset.pictures:,}")
    add_option(sub, "pictures", choices["pictures"], default=pictures)
    for name in ("held_out", "minimum", "corrupt_share"):
        settled = DataPlan.model_fields[name].default
        add_option(sub, name, choices[name], default=f"{settled}")
    _add_pace(sub)
    add_option(sub, "precision", choices["precision"], default="float32")
    add_option(sub, "warm_start", NewTraining.model_fields["warm_start"])
    add_option(sub, "second_weights", TrainJob.model_fields["second_weights"])
    for name, by_preset in preset_options().items():
        field = next(iter(by_preset.values()))
        default = ", ".join(
            f"{' '.join(map(str, value)) if isinstance(value, list) else value} (preset {preset})"
            for preset, option in by_preset.items()
            if (value := option.default) is not None
        )
        add_option(sub, name, choices.get(name, field), default=default)


def _add_resume(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("folder", type=Path, help="folder of the training")
    add_option(sub, "pictures", TrainingChoices.model_fields["pictures"], default="as planned")
    _add_pace(sub)
    add_option(sub, "precision", TrainingChoices.model_fields["precision"], default="as before")
    add_option(sub, "second_weights", TrainJob.model_fields["second_weights"], default="as before")


def _add_export(sub: argparse.ArgumentParser) -> None:
    fields = ExportJob.model_fields
    sub.add_argument("folder", type=Path, help=described(fields["folder"]))
    for name in ("out", "recommended", "float32"):
        add_option(sub, name, fields[name])


def _add_bounds(sub: argparse.ArgumentParser) -> None:
    _add_sources(sub, BoundsJob.model_fields["sources"])
    _add_encoder(sub, "128")
    add_option(sub, "out", BoundsJob.model_fields["out"])


def _add_sources(sub: argparse.ArgumentParser, field: FieldInfo, many: str = "+") -> None:
    sub.add_argument("sources", nargs=many, type=Path, help=described(field))
    for name, field in Reading.model_fields.items():
        add_option(sub, name, field)


def _add_encoder(sub: argparse.ArgumentParser, size: str) -> None:
    fields = EncoderRequest.model_fields
    add_option(sub, "network", fields["network"])
    add_option(sub, "layer", fields["layer"], default=f"{fields['layer'].default} of others")
    add_option(sub, "input_size", fields["input_size"], default=size)
    add_option(sub, "grid", fields["grid"])


def _add_pace(sub: argparse.ArgumentParser) -> None:
    fields = TrainJob.model_fields
    add_option(sub, "resident", fields["resident"])
    add_option(sub, "until", fields["until"], metavar="TIME")
    for name in ("checkpoint_seconds", "sample_seconds"):
        described_by = TrainingChoices.model_fields[name]
        add_option(sub, name, described_by, metavar="SECONDS", type=float)
    add_option(sub, "log_seconds", fields["log_seconds"], metavar="SECONDS")


def preset_options() -> dict[str, dict[str, FieldInfo]]:
    """What presets settle, by the name of the option, then of the preset."""
    found: dict[str, dict[str, FieldInfo]] = {}
    for id, preset in PRESETS.items():
        for name, field in preset.settings.model_fields.items():
            found.setdefault(name, {})[id] = field
    return found


def _by_preset(value: Callable[[Preset], object]) -> str:
    return ", ".join(f"{value(preset)} (preset {name})" for name, preset in PRESETS.items())


def _sizes_made() -> str:
    made = (f"{' or '.join(map(str, preset.image_sizes))} (preset {id})" for id, preset in PRESETS.items())
    return f"one of {', '.join(made)}"
