"""The arguments of the command line, and what they mean for a recipe's options."""

import argparse
import datetime
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_args

import torch

from worker.training.placement import DEVICES, PRECISIONS
from worker.training.preparation import Limits
from worker.training.recipes import PRESETS, OptionsError, Recipe, RecipeOptions
from worker.training.sources import SourceLimits

DERIVED = {"widths", "depths", "finish", "subpixel", "noise"}  # follow from the size of the pictures
HELP = {
    "batch": "pictures of a step, over all processes",
    "seed": "of weights, order and augmentation",
    "learning_rate": "at its highest",
    "feature_size": "pixels that the discriminator sees",
    "layout_weight": "of the error of 8×8 averages",
    "feature_weight": "of the error of features",
    "code_weight": "of the error of the feature network's code",
    "texture_weight": "of the distance of the local strength of edges",
    "head_start": "pictures during which the discriminator learns alone; of use with --warm-start",
    "width": "factor on the channels of the generator's stages: smaller is faster, larger may learn more",
    "average_decay": "of the averaged weights, a step",
    "pixel_weight": "of Σ(error)²/2N of BGR in [0, 255]",
    "adversarial_weight": "of both adversaries' cross entropy",
    "weight_decay": "added to the gradients",
    "halve_at": "steps at which the learning rate is halved",
    "comparator": "id of the network whose features are compared; default: the encoder's",
    "comparator_layer": "its layer; default: the last one whose channels have places",
}
DEFAULT_ENCODER = "efficientnet_lite0.imagenet"
DEFAULT_CODE = ("bn2", 2)
"""Layer and grid that measured best with it: its last map, averaged to 2×2 places."""
Act = Callable[[argparse.Namespace, list[str]], int]


def build_parser(acts: Mapping[str, Act]) -> argparse.ArgumentParser:
    """`acts` by the names of the commands: train, resume, export, bounds."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.training", description="Train a generator that inverts an encoder."
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
    def by_preset(value: Callable[[type[Recipe]], object]) -> str:
        return "default: " + ", ".join(f"{value(recipe)} (preset {name})" for name, recipe in PRESETS.items())

    _add_sources(sub)
    # Nothing is the default of what is required, and its help should not say None.
    sub.add_argument(
        "--run",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        help="folder of this training, new or prepared",
    )
    sub.add_argument("--preset", choices=PRESETS, default="default", help="the recipe")
    sub.add_argument(
        "--encoder-size",
        type=int,
        default=argparse.SUPPRESS,
        help="pixels at which pictures are encoded; "
        + by_preset(lambda recipe: recipe.encoder_size or "the encoder's own"),
    )
    sub.add_argument(
        "--image-size",
        type=int,
        default=argparse.SUPPRESS,
        help="pixels of the generator's pictures: "
        + ", ".join(
            f"{' or '.join(map(str, sorted(recipe.image_sizes)))} (preset {name})"
            for name, recipe in PRESETS.items()
        )
        + "; "
        + by_preset(lambda recipe: recipe.image_sizes[0]),
    )
    sub.add_argument(
        "--pictures",
        type=int,
        default=argparse.SUPPRESS,
        help="pictures to see in all, repeats included; " + by_preset(lambda recipe: f"{recipe.pictures:,}"),
    )
    _add_pace(sub)
    _add_placement(sub, "default: float32")
    sub.add_argument(
        "--warm-start",
        type=Path,
        default=argparse.SUPPRESS,
        help="start from this generator file instead of from random weights",
    )
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
    for name, by_recipe in _recipe_options().items():
        defaults = ", ".join(f"{_shown(option)} (preset {preset})" for preset, option in by_recipe.items())
        kind = next(iter(by_recipe.values())).type
        sub.add_argument(
            f"--{name.replace('_', '-')}",
            default=argparse.SUPPRESS,
            **({"type": int, "nargs": "+"} if get_args(kind) else {"type": kind}),
            help=HELP[name] + ("" if "default: " in HELP[name] else f"; default: {defaults}"),
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
    layer, grid = DEFAULT_CODE
    sub.add_argument(
        "--encoder-layer",
        default=argparse.SUPPRESS,
        help=f"its layer, by dotted name; default: {layer} with --encoder-grid {grid}, global_pool of others",
    )
    sub.add_argument(
        "--encoder-grid",
        type=int,
        default=argparse.SUPPRESS,
        help="average the layer's map to so many places each way, so that a code also says where; "
        "default with --encoder-layer: take it as it is",
    )


def _add_pace(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--until",
        type=_deadline,
        default=argparse.SUPPRESS,
        help="end by then at the latest (ISO 8601 time, UTC): the schedule adapts",
    )
    sub.add_argument("--checkpoint-every", type=float, default=300, help="seconds")
    sub.add_argument(
        "--sample-every", type=float, default=300, help="seconds between grids with held-out metrics"
    )
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


def _recipe_options() -> dict[str, dict[str, "Field[Any]"]]:
    """By the name of the option, then of the preset."""
    found: dict[str, dict[str, Field[Any]]] = {}
    for preset, recipe in PRESETS.items():
        for option in fields(recipe.Options):
            if option.name not in DERIVED:
                found.setdefault(option.name, {})[preset] = option
    return found


def _shown(option: "Field[Any]") -> str:
    assert option.default is not MISSING
    return " ".join(map(str, option.default)) if isinstance(option.default, tuple) else f"{option.default}"


def chosen_code(arguments: argparse.Namespace) -> tuple[str, int | None]:
    """Layer and grid of the codes: those that were given, or those that measured best."""
    layer, grid = DEFAULT_CODE if arguments.encoder == DEFAULT_ENCODER else ("global_pool", None)
    if hasattr(arguments, "encoder_layer"):
        layer, grid = arguments.encoder_layer, None
    return layer, getattr(arguments, "encoder_grid", grid)


def chosen_options(recipe: type[Recipe], arguments: argparse.Namespace) -> RecipeOptions:
    """The recipe's options with those that were given. Raises OptionsError for one that it does not take."""
    given = {name: value for name, value in vars(arguments).items() if name in _recipe_options()}
    own = [option.name for option in fields(recipe.Options) if option.name not in DERIVED]
    for name in given.keys() - set(own):
        raise OptionsError(
            f"--{name.replace('_', '-')} is no option of preset {arguments.preset}; it takes "
            + ", ".join(f"--{other.replace('_', '-')}" for other in own)
        )
    return recipe.Options.from_facts(given)
