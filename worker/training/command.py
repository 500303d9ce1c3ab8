"""The command line of training: parses, calls, and turns errors into one line for people."""

import argparse
import datetime
import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from worker.synthesis.generator_file import file_sha256, save_generator
from worker.synthesis.networks import NetworkError
from worker.synthesis.truncation import LayerError
from worker.training.bounds import StatisticsOfCodes
from worker.training.checkpoint import CheckpointError, read_checkpoint
from worker.training.encoding import Encoder
from worker.training.export import exported_generator
from worker.training.folder import FolderInUse, occupied
from worker.training.loading import load_encoder, load_feature_network
from worker.training.preparation import DataError, Limits, encoded_batches, load_prepared, prepare
from worker.training.run import CHECKPOINT, SETTINGS, Pace, Run
from worker.training.schedule import Schedule
from worker.training.sources import RawPicture, SourceError, open_source
from worker.training.training import Training, TrainingOptions
from worker.training.tuning import restart_tuned

WIDTHS, DEPTHS = (384, 208, 96, 48, 24), (2, 2, 2, 1, 1)
SIZES = {4 * 2**n: n for n in (3, 4, 5)}
ERRORS = (SourceError, DataError, CheckpointError, FolderInUse, NetworkError, LayerError)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0 done, 1 an error that was explained, 130 stopped by a signal (resume to go
    on).
    """
    options = build_parser().parse_args(arguments)
    if options.act in (train, resume):
        restart_tuned(arguments)
    torch.set_num_threads(options.threads)
    try:
        return int(options.act(options, list(arguments)))
    except ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.training", description="Train a generator that inverts an encoder."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, act: object, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=help, description=help, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        sub.set_defaults(act=act)
        sub.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads, at most")
        return sub

    def add_encoder(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "sources",
            nargs="+",
            type=Path,
            help="image folder, WebDataset .tar (or a folder of them), packed .npz",
        )
        sub.add_argument(
            "--encoder",
            default="efficientnet_lite0.imagenet",
            help="id of the network whose codes are inverted",
        )
        sub.add_argument("--encoder-layer", default="global_pool", help="its layer, by dotted name")
        sub.add_argument(
            "--encoder-size", type=int, default=128, help="pixels of the pictures that it encodes"
        )

    def add_schedule(sub: argparse.ArgumentParser, pictures: int | None) -> None:
        sub.add_argument(
            "--pictures", type=int, default=pictures, help="pictures to see in all, repeats included"
        )
        sub.add_argument(
            "--until",
            type=_deadline,
            help="end by then at the latest (ISO 8601 time, UTC): the schedule adapts",
        )
        sub.add_argument("--checkpoint-every", type=float, default=300, help="seconds")
        sub.add_argument(
            "--sample-every", type=float, default=300, help="seconds between grids with held-out metrics"
        )
        sub.add_argument("--log-every", type=float, default=20, help="seconds")

    sub = command("train", train, "Prepare the data (once) and train.")
    add_encoder(sub)
    sub.add_argument("--run", type=Path, required=True, help="folder of this training, new or prepared")
    sub.add_argument(
        "--image-size", type=int, choices=sorted(SIZES), default=64, help="pixels of the generator's pictures"
    )
    add_schedule(sub, 2_000_000)
    sub.add_argument("--held-out", type=int, default=Limits.held_out, help="pictures kept from training")
    sub.add_argument(
        "--minimum", type=int, default=Limits.minimum, help="fewer pictures than this are an error"
    )
    sub.add_argument(
        "--corrupt-share",
        type=float,
        default=Limits.corrupt_share,
        help="more corrupt pictures than this are an error",
    )
    defaults = TrainingOptions()
    for name in ("batch", "seed", "feature_size"):
        sub.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name), help=" ")
    floats = (
        "learning_rate",
        "layout_weight",
        "feature_weight",
        "code_weight",
        "texture_weight",
        "average_decay",
    )
    for name in floats:
        sub.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name), help=" ")

    sub = command(
        "resume", resume, "Go on from the latest checkpoint, exactly as if the training had not stopped."
    )
    sub.add_argument("run", type=Path, help="folder of the training")
    add_schedule(sub, None)

    sub = command(
        "export", export, "Write the averaged generator of the latest checkpoint as a generator file."
    )
    sub.add_argument("run", type=Path, help="folder of the training (it may be running)")
    sub.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    sub.add_argument(
        "--recommended",
        type=json.loads,
        help="recipe parameters to recommend, a JSON object; default: the compact generator's",
    )
    sub.add_argument("--float32", action="store_true", help="store weights as float32 instead of float16")

    sub = command(
        "bounds", bounds, "Measure mean and standard deviation of an encoder's codes over pictures."
    )
    add_encoder(sub)
    sub.add_argument(
        "--out",
        type=Path,
        required=True,
        help="the .safetensors file to write: code_mean, code_std, code_lower",
    )
    return parser


def _deadline(text: str) -> float:
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO 8601 time, such as 2027-01-31T19:25") from error
    return (when if when.tzinfo else when.replace(tzinfo=datetime.UTC)).timestamp()


def _say(line: str) -> None:
    print(line, flush=True)


def _pictures(sources: Sequence[Path]) -> "itertools.chain[RawPicture]":
    return itertools.chain.from_iterable([open_source(source) for source in sources])


def _encoder(options: argparse.Namespace) -> Encoder:
    return load_encoder(options.encoder, options.encoder_layer, options.encoder_size)


def train(options: argparse.Namespace, arguments: list[str]) -> int:
    run: Path = options.run
    if (run / CHECKPOINT).exists():
        raise CheckpointError(
            f"{run} already holds a training; go on with `python -m worker.training resume {run}`"
        )
    pictures = _pictures(options.sources)
    with occupied(run):
        if not (run / "prepared" / "index.json").exists():
            started = time.monotonic()
            limits = Limits(options.held_out, options.minimum, options.corrupt_share)
            prepare(
                run / "prepared",
                pictures,
                _encoder(options),
                image_size=options.image_size,
                sources=tuple(source.name for source in options.sources),
                limits=limits,
                on_progress=lambda rows: (
                    _say(f"encoded {rows:,}  {rows / (time.monotonic() - started):.0f}/s")
                    if rows % 6400 == 0
                    else None
                ),
            )
        names = (
            "batch",
            "seed",
            "feature_size",
            "learning_rate",
            "layout_weight",
            "feature_weight",
            "code_weight",
            "texture_weight",
            "average_decay",
        )
        chosen = {name: getattr(options, name) for name in names}
        stages = SIZES[options.image_size]
        (run / SETTINGS).write_text(json.dumps({"command": arguments}, indent=1))
        schedule = Schedule(options.pictures, started=time.time(), deadline=options.until)
        training = Training(
            load_prepared(run / "prepared"),
            load_feature_network(),
            TrainingOptions(**chosen, widths=WIDTHS[:stages], depths=DEPTHS[:stages]),
            schedule,
        )  # fmt: skip
        return _go(training, options)


def resume(options: argparse.Namespace, arguments: list[str]) -> int:
    with occupied(options.run):
        _, facts = read_checkpoint(options.run / CHECKPOINT)
        planned = facts["schedule"]
        if options.until is not None:
            planned |= {"started": time.time(), "deadline": options.until}
        elif planned["deadline"] is not None and planned["deadline"] <= time.time():
            planned |= {
                "started": None,
                "deadline": None,
            }  # that time is over: only the plan in pictures counts
        schedule = Schedule(**planned | ({"pictures": options.pictures} if options.pictures else {}))
        training = Training(
            load_prepared(options.run / "prepared"),
            load_feature_network(),
            TrainingOptions.from_facts(facts["options"]),
            schedule,
        )
        training.restore(options.run / CHECKPOINT)
        return _go(training, options)


def _go(training: Training, options: argparse.Namespace) -> int:
    index = training.prepared.index
    _say(
        f"{index.train:,} pictures to train on, {index.held_out:,} held out, "
        f"{index.corrupt:,} corrupt ones left out"
    )
    pace = Pace(options.checkpoint_every, options.sample_every, options.log_every)
    return 0 if Run(training, options.run, pace, _say).go() else 130


def export(options: argparse.Namespace, arguments: list[str]) -> int:
    generator = exported_generator(options.run, options.recommended)
    save_generator(options.out, generator, torch.float32 if options.float32 else torch.float16)
    size = options.out.stat().st_size / 2**20
    _say(
        f"{options.out}  {size:.1f} MiB  sha256 {file_sha256(options.out)}  "
        f"{json.dumps(generator.info.training)}"
    )
    return 0


def bounds(options: argparse.Namespace, arguments: list[str]) -> int:
    encoder = _encoder(options)
    gathered = StatisticsOfCodes(encoder.code_shape)
    for codes in encoded_batches(_pictures(options.sources), encoder):
        gathered.add(codes)
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
