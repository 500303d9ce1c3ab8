"""`python -m benchmarks.quality hidden`: are hidden units of other networks reached?"""

import argparse
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.quality.assets import Assets
from benchmarks.quality.hidden.climbs import Chunk, Climbs, Made
from benchmarks.quality.hidden.drawing import drawn
from benchmarks.quality.hidden.outcome import Seen, summary, table
from benchmarks.quality.measuring.report import write_rows
from benchmarks.quality.options import add_threads

LAYERS = {
    "mobilenet_v2": ("conv18", "conv27", "conv36", "conv45", "conv51"),
    "squeezenet1_1": ("features.6", "features.8", "features.10", "features.12", "classifier.2"),
    "tiny_darknet": ("conv06", "conv09", "conv12", "conv14", "conv15"),
    "places365": ("fire4", "fire6", "fire8", "fire9", "conv10"),
}
"""Of MobileNetV2 such as end in a clip to [0, 6] that is no module; of SqueezeNet two ReLUs side by side (or
what is pooled of them), last a ReLU; the others give no flat values."""
UNITS, CHUNK, COLUMNS = 30, 16, 8


def parser(generator: Path, result: Path, cache: Path) -> argparse.ArgumentParser:
    accepted = argparse.ArgumentParser(
        prog="python -m benchmarks.quality hidden",
        description="Climb 30 random units in five layers of each of four networks that the generator never "
        "saw, and count those that end at or above the prototype that excites them most. What was made is "
        "kept; an interrupted run goes on.",
    )
    accepted.add_argument("--generator", type=Path, default=generator, metavar="FILE")
    accepted.add_argument("--units", type=int, default=UNITS, metavar="N", help="of each layer")
    accepted.add_argument("--networks", nargs="+", choices=tuple(LAYERS), default=tuple(LAYERS))
    accepted.add_argument("--steps", type=int, help="instead of the generator's own recipe's")
    accepted.add_argument("--assets", type=Path, metavar="DIR", help="the networks (or IMAGO_ASSETS)")
    accepted.add_argument("--out", type=Path, default=result, metavar="FILE")
    accepted.add_argument("--sheet", type=Path, metavar="FILE", help="draw eight units of each layer")
    accepted.add_argument("--cache", type=Path, default=cache, metavar="DIR")
    add_threads(accepted)
    return accepted


def run(arguments: Sequence[str], generator: Path, result: Path, cache: Path) -> None:
    """Make, count, write; after each chunk, so that an unfinished run says what it has."""
    options = parser(generator, result, cache).parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    assets = Assets(options.assets)
    networks = {name: assets.network(name) for name in options.networks}
    climbs = Climbs(networks, options.generator, options.steps, options.cache / "hidden")
    pictures: dict[tuple[str, str], list[Made]] = {}
    found: dict[tuple[str, str], list[Seen]] = {}
    for chunk in chunks(networks, options.units, climbs):
        start = time.monotonic()
        made, key = climbs.made(chunk), (chunk.network, chunk.layer)
        pictures.setdefault(key, []).append(made)
        found.setdefault(key, []).extend(made.seen())
        said = summary(found, options.units)
        write_rows(options.out, {**said, "conditions": climbs.conditions})
        print(
            f"{chunk.network} {chunk.layer}: {len(chunk.units)} units in {time.monotonic() - start:.0f} s; "
            f"{said['reached']} of {said['excited']} reached so far",
            file=sys.stderr,
            flush=True,
        )
    if options.sheet is not None:
        drawn(pictures, COLUMNS).save(options.sheet)
    print(table(found))


def chunks(networks: Iterable[str], units: int, climbs: Climbs) -> Iterator[Chunk]:
    """All chunks, a few units of every layer first, so that an unfinished run has met all layers."""
    for first in range(0, units, CHUNK):
        for network in networks:
            for layer in LAYERS[network]:
                chosen = random_units(f"{network} {layer}", climbs.units(network, layer), units)
                yield Chunk(network, layer, chosen[first : first + CHUNK])


def random_units(name: str, count: int, wanted: int) -> tuple[int, ...]:
    """The same ones for the same name, in no order; more wanted only add to them."""
    return tuple(random.Random(name).sample(range(count), count)[:wanted])
