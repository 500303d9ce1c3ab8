"""The command line of training: calls, and turns errors into one line for people."""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from imago_engine.generators import GeneratorFileError
from imago_engine.synthesis.generators.files import file_sha256
from imago_engine.synthesis.networks.load import NetworkError
from imago_engine.synthesis.networks.truncate import LayerError
from imago_engine.training.arguments import build_parser, chosen_encoder, chosen_options
from imago_engine.training.data.left_out import LeftOut
from imago_engine.training.data.preparation import (
    LEFT_OUT,
    DataError,
    Limits,
    PreparedIndex,
    encoded_batches,
    load_prepared,
    prepare,
)
from imago_engine.training.data.sources import RawPicture, SourceError, SourceLimits, open_source
from imago_engine.training.distributed.processes import Processes, joined
from imago_engine.training.recipes import OptionsError, Recipe, preset_named, read_options
from imago_engine.training.recipes.warm_start import warm_start
from imago_engine.training.results.code_statistics import StatisticsOfCodes
from imago_engine.training.results.export import write_generator
from imago_engine.training.results.journal import Journal
from imago_engine.training.run.checkpoint import CheckpointError, read_facts
from imago_engine.training.run.folder import CHECKPOINT, PREPARED, SETTINGS, FolderInUse, occupied
from imago_engine.training.run.loading import load_encoder, new_training
from imago_engine.training.run.loop import Diverged, Pace, Run
from imago_engine.training.run.placement import Placement, PlacementError, place
from imago_engine.training.run.schedule import Schedule
from imago_engine.training.run.training import Training
from imago_engine.training.run.tuning import restart_tuned

ERRORS = (
    CheckpointError, DataError, Diverged, FolderInUse, GeneratorFileError, LayerError, NetworkError,
    OptionsError, OSError, PlacementError, SourceError,
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0 done, 1 an error that was explained, 130 stopped by a signal (resume to go
    on).
    """
    acts = {"train": train, "resume": resume, "export": export, "bounds": bounds}
    options = build_parser(acts).parse_args(arguments)
    if options.act in (train, resume):
        restart_tuned(arguments)
    torch.set_num_threads(options.threads)
    try:
        return int(options.act(options, list(arguments)))
    except ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
    except torch.OutOfMemoryError as error:
        print(f"error: the device's memory is too small; try a smaller --batch: {error}", file=sys.stderr)
    return 1


def _say(line: str) -> None:
    print(line, flush=True)


def _pictures(options: argparse.Namespace, left_out: LeftOut) -> "itertools.chain[RawPicture]":
    limits = SourceLimits(options.largest_picture * 2**20, options.largest_archive * 2**30)
    root: Path | None = getattr(options, "data_root", None)
    return itertools.chain.from_iterable(
        [open_source(path, root=root, limits=limits, on_loss=left_out.add) for path in options.sources]
    )


def _say_left_out(left_out: LeftOut, listed: str = "") -> None:
    if left_out.count:
        _say(f"{left_out.count:,} pictures left out: {left_out.named}{listed}")


def train(options: argparse.Namespace, arguments: list[str]) -> int:
    run: Path = options.run
    if (run / CHECKPOINT).exists():
        raise CheckpointError(
            f"{run} already holds a training; go on with `python -m imago_engine.training resume {run}`"
        )
    recipe = preset_named(options.preset)
    chosen = chosen_options(recipe, options)
    placement = place(options.device, getattr(options, "precision", "float32"))
    with joined() as processes, occupied(run) if processes.leads else nullcontext():
        if processes.leads:
            _prepare(options, recipe, placement)
        processes.wait()
        prepared = load_prepared(run / PREPARED)
        chosen = recipe.completed(chosen, prepared.index)
        pictures = getattr(options, "pictures", recipe.preset.pictures)
        (now,) = processes.agree([time.time()])
        schedule = Schedule(pictures, started=now, deadline=getattr(options, "until", None))
        training = new_training(prepared, recipe, chosen, schedule, placement, processes)
        source: Path | None = getattr(options, "warm_start", None)
        started_from = warm_start(training, source) if source is not None else None
        if processes.leads:
            if started_from is not None and started_from.anew:
                _say(f"{source} has no fitting weights for {', '.join(started_from.anew)}: they start anew")
            settings = {"command": arguments, "warm_start": started_from and started_from.sha256}
            (run / SETTINGS).write_text(json.dumps(settings, indent=1))
        return _go(training, options, run)


def _prepare(options: argparse.Namespace, recipe: type[Recipe], placement: Placement) -> None:
    """Write the run's prepared folder, or see that the one that is there is what was asked for."""
    folder: Path = options.run / PREPARED
    image_size = getattr(options, "image_size", recipe.preset.image_size)
    if image_size not in recipe.preset.image_sizes:
        raise OptionsError(
            f"--image-size {image_size}: preset {options.preset} makes pictures of "
            f"{' or '.join(map(str, recipe.preset.image_sizes))} pixels"
        )
    encoder_size = getattr(options, "encoder_size", recipe.preset.encoder_size)
    if (folder / "index.json").exists():
        _check_prepared(options, load_prepared(folder).index, image_size, encoder_size)
        return
    left_out = LeftOut()
    pictures = _pictures(options, left_out)
    chosen = chosen_encoder(options)
    encoder = load_encoder(chosen.network, chosen.layer, encoder_size, placement.device, chosen.grid)
    started = time.monotonic()

    def on_progress(rows: int) -> None:
        if rows % 6400 == 0:
            _say(f"encoded {rows:,}  {rows / (time.monotonic() - started):.0f}/s")

    prepare(
        folder,
        pictures,
        encoder,
        image_size=image_size,
        sources=tuple(source.name for source in options.sources),
        limits=Limits(options.held_out, options.minimum, options.corrupt_share),
        on_progress=on_progress,
        left_out=left_out,
    )
    _say_left_out(left_out, f"; all are listed in {folder / LEFT_OUT}")


def _check_prepared(
    options: argparse.Namespace, index: PreparedIndex, image_size: int, encoder_size: int | None
) -> None:
    chosen = chosen_encoder(options)
    asked = {
        "encoder": chosen.network,
        "encoder_layer": chosen.layer,
        "encoder_grid": chosen.grid,
        "image_size": image_size,
        "encoder_input_size": encoder_size or index.encoder_input_size,
    }
    found = {name: asdict(index)[name] for name in asked}
    if asked != found:
        raise DataError(
            f"{options.run / PREPARED} was prepared with {found}, not with {asked}; expected the same "
            "options, or another --run"
        )


def resume(options: argparse.Namespace, arguments: list[str]) -> int:
    run: Path = options.run
    with joined() as processes, occupied(run) if processes.leads else nullcontext():
        facts = read_facts(run / CHECKPOINT)
        recipe = preset_named(facts.get("preset", "default"))
        placement = place(options.device, getattr(options, "precision", facts.get("precision", "float32")))
        schedule = _resumed_schedule(Schedule(**facts["schedule"]), options, processes)
        training = new_training(
            load_prepared(run / PREPARED),
            recipe,
            read_options(recipe.Options, facts["options"]),
            schedule,
            placement,
            processes,
        )
        training.restore(run / CHECKPOINT)
        return _go(training, options, run)


def _resumed_schedule(planned: Schedule, options: argparse.Namespace, processes: Processes) -> Schedule:
    (now,) = processes.agree([time.time()])
    changes: dict[str, float | None] = {}
    if hasattr(options, "until"):
        changes = {"started": now, "deadline": options.until}
    elif planned.deadline is not None and planned.deadline <= now:
        changes = {"started": None, "deadline": None}  # that time is over: only the plan in pictures counts
    if hasattr(options, "pictures"):
        changes["pictures"] = options.pictures
    return Schedule(**{**asdict(planned), **changes})


def _go(training: Training, options: argparse.Namespace, run: Path) -> int:
    index, processes = training.prepared.index, training.processes
    pace = Pace(options.checkpoint_every, options.sample_every, options.log_every)
    if not processes.leads:
        return 0 if Run(training, run, pace, None).go() else 130
    _say(
        f"{index.train:,} pictures to train on, {index.held_out:,} held out, "
        f"{index.corrupt:,} corrupt ones left out; {training.placement.description(processes.size)}"
    )
    with closing(Journal(run, _say)) as journal:
        if not Run(training, run, pace, journal).go():
            return 130
    out = run / "generator.safetensors"
    write_generator(run, out)
    _say(f"done: {out} and its model card {out.with_suffix('.md').name}")
    return 0


def export(options: argparse.Namespace, arguments: list[str]) -> int:
    out: Path = options.out
    dtype = torch.float32 if options.float32 else torch.float16
    generator = write_generator(options.run, out, getattr(options, "recommended", None), dtype)
    size = out.stat().st_size / 2**20
    _say(f"{out}  {size:.1f} MiB  sha256 {file_sha256(out)}  {json.dumps(generator.info.training)}")
    return 0


def bounds(options: argparse.Namespace, arguments: list[str]) -> int:
    device = place(options.device).device
    chosen = chosen_encoder(options)
    encoder = load_encoder(chosen.network, chosen.layer, chosen.input_size, device, chosen.grid)
    gathered = StatisticsOfCodes(encoder.code_shape)
    left_out = LeftOut()
    for codes in encoded_batches(_pictures(options, left_out), encoder, left_out):
        gathered.add(codes)
    _say_left_out(left_out)
    try:
        statistics = gathered.result()
    except ValueError as error:
        raise DataError(str(error)) from error
    tensors = {"code_mean": statistics.mean, "code_std": statistics.std, "code_lower": statistics.lower}
    facts = {
        "encoder": encoder.network_id,
        "encoder_layer": encoder.layer,
        "encoder_sha256": encoder.weights_sha256,
    }
    save_file(
        tensors,
        options.out,
        {**facts, "encoder_input_size": str(encoder.input_size), "pictures": str(statistics.count)},
    )
    _say(
        f"{statistics.count:,} pictures  code {list(encoder.code_shape)}  "
        f"mean {statistics.mean.mean():.4f}  σ {statistics.std.mean():.4f}"
    )
    return 0
