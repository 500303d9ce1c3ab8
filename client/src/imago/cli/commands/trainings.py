"""`imago train-generator`, `trainings`, `training`."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from imago.cli.descriptions import described
from imago.cli.durations import duration, moment, rate
from imago.cli.exit_codes import ExitCode
from imago.cli.named_values import named_value
from imago.cli.session import JsonFlag, Limit, Session, session_of, state_style
from imago.cli.watching import explain_error, follow
from imago.errors import InvalidRequest
from imago.files import write_whole
from imago.trainings import Training

_SAMPLES_SHOWN = 8

Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Show losses and time left until it ends. Ctrl-C detaches.")
]


def train_generator(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCES…",
            help=described("training", "sources"),
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="What the generator will be called.")],
    encoder: Annotated[
        str | None, typer.Option("--encoder", metavar="NETWORK", help="Network whose codes are inverted.")
    ] = None,
    layer: Annotated[str | None, typer.Option("--layer", help=described("encoder", "layer"))] = None,
    encoder_size: Annotated[
        int | None, typer.Option("--encoder-size", help=described("encoder", "input_size"))
    ] = None,
    encoder_grid: Annotated[
        int | None,
        typer.Option("--encoder-grid", help=described("encoder", "grid")),
    ] = None,
    pictures: Annotated[
        int | None, typer.Option("--pictures", help=described("training", "pictures"))
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            help=f"{described('training', 'until')} Such as 2027-01-31T19:25, here, or with a zone.",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help=f"{described('training', 'preset')} See `imago presets`.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "-o", metavar="NAME=VALUE", help="An option of the preset, such as layout_weight=3."
        ),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option("--warm-start", metavar="GENERATOR", help=described("training", "warm_start")),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option("--image-size", help=described("training", "image_size"))
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", help=described("training", "batch"))] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help=described("training", "learning_rate"))
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", help=f"float32 or bfloat16. {described('training', 'precision')}"),
    ] = None,
    feature_size: Annotated[
        int | None, typer.Option("--feature-size", help=described("training", "feature_size"))
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help=described("training", "seed"))] = None,
    held_out: Annotated[
        int | None, typer.Option("--held-out", help=described("training", "held_out"))
    ] = None,
    minimum: Annotated[int | None, typer.Option("--minimum", help=described("training", "minimum"))] = None,
    corrupt_share: Annotated[
        float | None, typer.Option("--corrupt-share", help=described("training", "corrupt_share"))
    ] = None,
    sample_seconds: Annotated[
        int | None, typer.Option("--sample-every", help=f"Seconds. {described('training', 'sample_seconds')}")
    ] = None,
    checkpoint_seconds: Annotated[
        int | None,
        typer.Option("--checkpoint-every", help=f"Seconds. {described('training', 'checkpoint_seconds')}"),
    ] = None,
    watching: Watch = False,
    as_json: JsonFlag = False,
) -> None:
    """Have a generator trained on pictures that the workers can see.

    imago train-generator birds --name birds-128 --pictures 500000 --watch
    """
    session = session_of(context, as_json)
    options = dict(named_value("--option", text, "layout_weight=3") for text in option or [])
    training = session.client.train_generator(
        sources,
        name=name,
        encoder=encoder,
        layer=layer,
        encoder_size=encoder_size,
        encoder_grid=encoder_grid,
        pictures=pictures,
        until=None if until is None else _time(until),
        preset=preset,
        options=options or None,
        warm_start=warm_start,
        image_size=image_size,
        batch=batch,
        learning_rate=learning_rate,
        precision=precision,
        feature_size=feature_size,
        seed=seed,
        held_out=held_out,
        minimum=minimum,
        corrupt_share=corrupt_share,
        sample_seconds=sample_seconds,
        checkpoint_seconds=checkpoint_seconds,
    )
    if watching and not session.as_json:
        session.remark(f"Submitted {training.id}.")
    _show_or_watch(session, training, watching)


def list_trainings(
    context: typer.Context,
    state: Annotated[str | None, typer.Option("--state", help="Only trainings in this state.")] = None,
    limit: Limit = 20,
    as_json: JsonFlag = False,
) -> None:
    """List trainings, newest first."""
    session = session_of(context, as_json)
    session.listing(
        session.client.trainings(state=state, limit=limit),
        ["TRAINING", "NAME", "STATE", "PICTURES", "LEFT", "CREATED"],
        lambda training: (
            training.id,
            training.name,
            training.state,
            _pictures(training),
            duration(training.eta_seconds) if training.eta_seconds is not None else "",
            moment(training.created_at),
        ),
    )


def show_training(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="TRAINING", help="A training's id, such as trn_01…")],
    watching: Watch = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop it; its log and samples stay.")] = False,
    grid: Annotated[
        Path | None, typer.Option("--grid", metavar="FILE", help="Write the latest sample grid, a PNG.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show a training, watch it, cancel it, or fetch its latest sample grid."""
    session = session_of(context, as_json)
    training = session.client.training(id)
    if cancel:
        training.cancel()
    if grid is not None:
        write_whole(grid, training.grid())
        if not session.as_json:
            session.remark(f"The latest sample grid is in {grid}: odd rows are real, even rows are made.")
    _show_or_watch(session, training, watching)


def _show_or_watch(session: Session, training: Training, watching: bool) -> None:
    if watching:
        _watch(session, training)
    elif session.as_json:
        session.emit(training.raw)
    else:
        session.say(f"{training.id} {_status(training)}", state_style(training.state))
        for line in _figures(training):
            session.say(f"  {line}")
        _explain_end(session, training)
        if not training.finished:
            session.remark(f"Watch it: imago training {training.id} --watch")


def _watch(session: Session, training: Training) -> None:
    follow(session, training, "training", line=_brief, drawn=_table)
    if not session.as_json:
        session.say(f"{training.id} {_status(training)}", state_style(training.state))
        _explain_end(session, training)
    if training.state != "succeeded":
        raise typer.Exit(ExitCode.FAILED)


def _explain_end(session: Session, training: Training) -> None:
    explain_error(session, training)
    if training.generator:
        session.remark(f"Use it: imago submit NETWORK/LAYER/UNITS --generator {training.generator}")


def _status(training: Training) -> str:
    """What it does now, in one line."""
    parts = [training.phase or training.state, f"{_pictures(training)} pictures"]
    if training.rate:
        parts.append(rate(training.rate))
    if training.eta_seconds is not None:
        parts.append(f"{duration(training.eta_seconds)} left")
    return ", ".join(parts)


def _brief(training: Training) -> str:
    """The same, and the latest of its figures."""
    return "  ".join([_status(training), *_figures(training)[:1]])


def _pictures(training: Training) -> str:
    return f"{training.pictures:,}" + (f" of {training.total:,}" if training.total else "")


def _figures(training: Training) -> list[str]:
    lines = []
    if training.losses:
        lines.append("losses: " + _numbers(training.losses))
    if training.samples:
        newest = training.samples[0]
        lines.append(f"held out at {newest.pictures:,}: {_numbers(newest.held_out)}")
    return lines


def _numbers(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in values.items())


def _table(training: Training) -> Group:
    """What it does, and how its losses and its errors on held-out pictures went lately."""
    head = Text(f"{training.id} {training.name}: {_status(training)}", style=state_style(training.state))
    losses = Table(box=None, header_style="bold", pad_edge=False)
    for name in training.losses:
        losses.add_column(name, justify="right")
    losses.add_row(*(f"{value:.3f}" for value in training.losses.values()))
    held_out = Table(box=None, header_style="bold", pad_edge=False)
    samples = training.samples[:_SAMPLES_SHOWN]
    names = list(samples[0].held_out) if samples else []
    for name in ["held out at", *names]:
        held_out.add_column(name, justify="right")
    for sample in samples:
        figures = (f"{sample.held_out.get(name, float('nan')):.4f}" for name in names)
        held_out.add_row(f"{sample.pictures:,}", *figures)
    return Group(head, *([losses] if training.losses else []), *([held_out] if samples else []))


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise InvalidRequest(f"--until {text!r}: write a time such as 2027-01-31T19:25.") from None
