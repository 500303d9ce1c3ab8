"""`python -m benchmarks.quality layers`: some units of each of many layers, to be looked at."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.quality.assets import NETWORKS, named_network
from benchmarks.quality.layers.pictures import LayerPictures, Wish
from benchmarks.quality.layers.sheets import montage, sheet
from benchmarks.quality.lists import layers
from benchmarks.quality.making import Progress
from benchmarks.quality.options import add_threads
from imago_engine.networks import OUTPUT_ALIASES, LayerInfo
from imago_engine.synthesis.generators.files import file_sha256, load_generator
from imago_engine.synthesis.inspection.layers import inspect
from imago_engine.synthesis.networks.load import Network
from imago_engine.techniques import all_techniques
from imago_engine.techniques.automatic import AUTO


def parser(generator: Path, cache: Path) -> argparse.ArgumentParser:
    accepted = argparse.ArgumentParser(
        prog="python -m benchmarks.quality layers",
        description="Draw evenly spread units of each layer: a PNG a layer, and all of them in one montage. "
        "Says which pictures are plain. What was made before is not made again.",
    )
    accepted.add_argument("--generator", type=Path, default=generator, metavar="FILE")
    accepted.add_argument(
        "--network",
        default="efficientnet_lite0.imagenet",
        help=f"an id of the catalog, or {', '.join(NETWORKS)}",
    )
    accepted.add_argument(
        "--layers", nargs="+", metavar="NAME", help="default: the 19 of EfficientNet-lite0 (lists/layers.txt)"
    )
    accepted.add_argument("--technique", choices=[AUTO, *all_techniques()], default=AUTO)
    accepted.add_argument("--units", type=int, default=16, metavar="N", help="of each layer, evenly spread")
    accepted.add_argument("--seed", type=int, default=0)
    accepted.add_argument("--out", type=Path, default=Path("layers"), metavar="DIR")
    accepted.add_argument("--cache", type=Path, default=cache, metavar="DIR")
    accepted.add_argument("--assets", type=Path, metavar="DIR", help="for networks of no catalog")
    add_threads(accepted)
    return accepted


def run(arguments: Sequence[str], generator: Path, cache: Path) -> None:
    options = parser(generator, cache).parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    network = named_network(options.network, options.assets)
    wanted = _layers(network, options.layers or layers())
    wish = Wish(
        network=network,
        generator=load_generator(options.generator),
        generator_sha256=file_sha256(options.generator),
        technique=options.technique,
        units=options.units,
        seed=options.seed,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, LayerPictures] = {}
    for name, layer in wanted.items():
        print(f"{name} ({len(found) + 1} of {len(wanted)})", file=sys.stderr, flush=True)
        progress = Progress(name, min(layer.units, options.units), 1)
        found[name] = wish.pictures(layer, options.cache / "layers", progress.share_done)
        progress.close()
        sheet(found[name]).save(options.out / f"{name}.png")
        print(line(name, layer, found[name]), flush=True)
        # Whole after each layer: it can be looked at while the others are made.
        montage(found).save(options.out / "montage.png")
    print(options.out / "montage.png")


def line(name: str, layer: LayerInfo, pictures: LayerPictures) -> str:
    """What is to be said of a layer: how many of its pictures are plain, and which."""
    numbers = range(len(pictures.units))
    plain = [n for n in numbers if pictures.is_plain(n) and not pictures.unreachable[n]]
    least = min(pictures.deviation(n) for n in numbers)
    said = [
        f"{name:12s} sees {layer.receptive_field or 'all':>4} pixels, {pictures.technique!s:8s}",
        f"of {pictures.images.shape[1]:3d} pixels, flattest ±{least:.0f}, {len(plain)} plain",
    ]
    if plain:
        said.append(f"(units {', '.join(str(pictures.units[n]) for n in plain)})")
    if pictures.unreachable.any():
        said.append(f"{pictures.unreachable.sum()} unreachable")
    return " ".join(said)


def _layers(network: Network, names: Sequence[str]) -> dict[str, LayerInfo]:
    known = {layer.name: layer for layer in inspect(network)}
    known |= {alias: layer for layer in known.values() if layer.kind == "output" for alias in OUTPUT_ALIASES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(
            f"{network.id} has no layer {', '.join(unknown)}; expected some of {', '.join(known)}"
        )
    return {name: known[name] for name in names}
