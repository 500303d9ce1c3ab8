"""`python -m benchmarks.quality hidden`: are hidden units of other networks reached?"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import torch

from benchmarks.quality.assets import Assets
from benchmarks.quality.measuring.report import write_rows
from benchmarks.quality.options import add_threads
from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.climb import ROUNDING
from imago_engine.synthesis.computing.thread_groups import thread_groups
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.files import file_sha256, load_generator
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.starts import Ranking
from imago_engine.techniques.dgn_am import TECHNIQUE, DgnAm

LAYERS = {
    "mobilenet_v2": ("conv18", "conv27", "conv36", "conv45", "conv51"),
    "squeezenet1_1": ("features.6", "features.8", "features.10", "features.12", "classifier.2"),
    "tiny_darknet": ("conv06", "conv09", "conv12", "conv14", "conv15"),
    "places365": ("fire4", "fire6", "fire8", "fire9", "conv10"),
}
"""Of MobileNetV2 such as end in a clip to [0, 6] that is no module; of SqueezeNet two ReLUs side by side (or
what is pooled of them), last a ReLU; the others give no flat values."""
UNITS, CHUNK = 30, 8
VERSION = 1
"""Raised when code here changes what is kept."""


@dataclass(frozen=True)
class Seen:
    """What became of one unit."""

    unit: int
    excited: bool
    """Whether any prototype's picture excites it more than nothing."""
    best: float
    """The activation of the best prototype."""
    activation: float
    status: str

    @property
    def reached(self) -> bool:
        """Whether it ended `done` at or above its best prototype."""
        return self.status == "done" and self.activation >= self.best - ROUNDING * abs(self.best)


@dataclass(frozen=True)
class Chunk:
    """Some units of one layer, made together."""

    network: str
    layer: str
    units: tuple[int, ...]


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
    found: dict[tuple[str, str], list[Seen]] = {}
    for chunk in chunks(networks, options.units, climbs):
        start = time.monotonic()
        found.setdefault((chunk.network, chunk.layer), []).extend(climbs.seen(chunk))
        said = summary(found, options.units)
        write_rows(options.out, {**said, "conditions": climbs.conditions})
        print(
            f"{chunk.network} {chunk.layer}: {len(chunk.units)} units in {time.monotonic() - start:.0f} s; "
            f"{said['reached']} of {said['excited']} reached so far",
            file=sys.stderr,
            flush=True,
        )
    print(table(found))


class Climbs:
    """Makes chunks with one generator's recommended recipe, or reads them where they were kept."""

    def __init__(
        self, networks: dict[str, Network], generator: Path, steps: int | None, folder: Path
    ) -> None:
        self._networks, self._generator, self._folder = networks, load_generator(generator), folder
        changed = {} if steps is None else {"steps": steps}
        self._recipe = DgnAm(**{**self._generator.info.recommended, **changed})
        self.conditions = {
            "version": VERSION,
            "technique": {"id": TECHNIQUE.id, "version": TECHNIQUE.version},
            "generator": file_sha256(generator),
            "recipe": self._recipe.model_dump(),
        }

    def units(self, network: str, layer: str) -> int:
        """How many a layer has."""
        return find_layer(self._networks[network], _name(layer), self._recipe.input_size).shape[0]

    def seen(self, chunk: Chunk) -> list[Seen]:
        """What became of each unit."""
        asked = json.dumps([self.conditions, asdict(chunk)], sort_keys=True)
        path = self._folder / f"{chunk.network}-{chunk.layer}-{sha256(asked.encode()).hexdigest()[:12]}.json"
        if path.exists():
            return [Seen(**values) for values in json.loads(path.read_text())["units"]]
        made = self._made(chunk)
        write_rows(path, {"units": [asdict(seen) for seen in made]})
        return made

    def _made(self, chunk: Chunk) -> list[Seen]:
        network, recipe, items = (
            self._networks[chunk.network],
            self._recipe,
            [Item(u, 0) for u in chunk.units],
        )
        layer = find_layer(network, _name(chunk.layer), recipe.input_size)
        size = recipe.input_size or network.preprocessing.size
        fit = Fit.plan(recipe.fit, self._generator.info.image_size, size)
        prefix = Prefix(network.module, layer.name, layer.layout)
        with own_modes(), thread_groups(network.device) as side_by_side:
            known = Ranking(network, self._generator, layer, prefix, fit).of(items, side_by_side)
        pictures = synthesize(network, self._generator, layer.name, items, recipe)
        return [
            Seen(item.unit, bool(each.max() > 0), float(each.max()), picture.activation, picture.status)
            for item, each, picture in zip(items, known, pictures, strict=True)
        ]


def chunks(networks: Sequence[str] | dict[str, Network], units: int, climbs: Climbs) -> Iterator[Chunk]:
    """All chunks, a few units of every layer first, so that an unfinished run has met all layers."""
    for first in range(0, units, CHUNK):
        for network in networks:
            for layer in LAYERS[network]:
                chosen = random_units(f"{network} {layer}", climbs.units(network, layer), units)
                yield Chunk(network, layer, chosen[first : first + CHUNK])


def random_units(name: str, count: int, wanted: int) -> tuple[int, ...]:
    """The same ones for the same name, in no order; more wanted only add to them."""
    return tuple(random.Random(name).sample(range(count), count)[:wanted])


def summary(found: dict[tuple[str, str], list[Seen]], units: int) -> dict[str, object]:
    """`{"wanted_a_layer", "units", "excited", "done", "reached", "share", "unreachable", "layers": […]}`."""
    every = [seen for each in found.values() for seen in each]
    layers = [
        {"network": network, "layer": layer, **counts(seen)} for (network, layer), seen in found.items()
    ]
    return {"wanted_a_layer": units, **counts(every), "layers": layers}


def counts(seen: Sequence[Seen]) -> dict[str, int | float | None]:
    """`reached` and `share` are of those units that any prototype excites."""
    excited = [one for one in seen if one.excited]
    reached = sum(one.reached for one in excited)
    return {
        "units": len(seen),
        "excited": len(excited),
        "done": sum(one.status == "done" for one in seen),
        "reached": reached,
        "share": reached / len(excited) if excited else None,
        "unreachable": sum(one.status == "unreachable" for one in seen),
    }


def table(found: dict[tuple[str, str], list[Seen]]) -> str:
    """Markdown, a line a layer."""
    lines = ["| network | layer | units | excited | done | at or above the best prototype | unreachable |"]
    lines.append("|---" * 7 + "|")
    every = [one for each in found.values() for one in each]
    for (network, layer), seen in [*found.items(), (("all", ""), every)]:
        row = counts(seen)
        cells = [
            network,
            layer,
            *(row[key] for key in ("units", "excited", "done", "reached", "unreachable")),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _name(layer: str) -> str:
    return f"logits.{layer}"  # the assets' networks are wrapped
