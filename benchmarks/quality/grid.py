"""`python -m benchmarks.quality grid`: 40 well-known things or 100 classes, to be looked at."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from benchmarks.quality.assets import NETWORKS, Assets, named_network
from benchmarks.quality.lists import OUTPUT, Named, Unit, famous, hundred, places
from benchmarks.quality.making import made
from benchmarks.quality.measuring.judges import Judge, judges
from benchmarks.quality.options import add_assets, add_threads
from benchmarks.quality.plan import Plan
from benchmarks.quality.techniques import Generated
from imago_engine.synthesis.networks.load import Network

COLUMNS, TILE, LABEL, GAP = 8, 128, 18, 4
COLUMNS_OF_HUNDRED = 10
SCENES = "places365"
IMAGENET_CLASSES = 1000


def parser(generator: Path, cache: Path) -> argparse.ArgumentParser:
    accepted = argparse.ArgumentParser(
        prog="python -m benchmarks.quality grid",
        description="Draw labelled pictures of classes in rows and print what independent networks see.",
    )
    accepted.add_argument("--generator", type=Path, default=generator, metavar="FILE")
    accepted.add_argument(
        "--network",
        default="efficientnet_lite0.imagenet",
        help=f"an id of the catalog with the 1000 ImageNet classes, or {', '.join(NETWORKS)}",
    )
    accepted.add_argument("--out", type=Path, default=Path("grid.png"), metavar="FILE")
    accepted.add_argument("--cache", type=Path, default=cache, metavar="DIR")
    accepted.add_argument(
        "--classes",
        choices=("known", "hundred"),
        default="known",
        help="40 that everybody would recognise (scenes of a network of scenes), or every tenth of the 1000",
    )
    accepted.add_argument("--seed", type=int, default=0)
    accepted.add_argument("--steps", type=int, help="instead of the generator's own recipe's")
    accepted.add_argument("--input-size", type=int, help="instead of the generator's own recipe's")
    add_assets(accepted)
    add_threads(accepted)
    return accepted


def run(arguments: Sequence[str], generator: Path, cache: Path) -> None:
    options = parser(generator, cache).parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    assets = Assets(options.assets)
    network = _network(options.network, options.assets)
    things = _things(options.classes, network)
    changes = {"steps": options.steps, "input_size": options.input_size}
    changes = {name: value for name, value in changes.items() if value is not None}
    technique = Generated("grid", network, options.generator, **changes)
    units = tuple(Unit(OUTPUT, thing.unit) for thing in things)
    plan = Plan(units, (), (), (), (options.seed,), ())
    images = made(technique, plan, options.cache).of(units, options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    columns = COLUMNS_OF_HUNDRED if options.classes == "hundred" else COLUMNS
    sheet(images, things, columns).save(options.out)
    print(agreement(network, images, things, assets))
    print(options.out)


def _things(chosen: str, network: Network) -> tuple[Named, ...]:
    if network.id == SCENES:
        return places()
    return hundred() if chosen == "hundred" else famous()


def _network(name: str, folder: Path | None) -> Network:
    """A network whose classes are on the lists."""
    network = named_network(name, folder)
    if name not in NETWORKS and len(network.labels) != IMAGENET_CLASSES:
        raise SystemExit(
            f"{name} has {len(network.labels)} labelled classes; the list is of the {IMAGENET_CLASSES} of "
            "ImageNet"
        )
    return network


def sheet(images: Tensor, things: Sequence[Named], columns: int = COLUMNS) -> Image.Image:
    """Pictures, uint8 [N, 3, S, S], with sides of 128 pixels in rows, each over its name."""
    rows = -(-len(images) // columns)
    width, height = TILE + GAP, TILE + LABEL + GAP
    drawn = Image.new("RGB", (columns * width + GAP, rows * height + GAP), "white")
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(size=12)
    for i, (picture, thing) in enumerate(zip(images, things, strict=True)):
        left, top = GAP + i % columns * width, GAP + i // columns * height
        tile = Image.fromarray(picture.permute(1, 2, 0).numpy()).resize(
            (TILE, TILE), Image.Resampling.BICUBIC
        )
        drawn.paste(tile, (left, top))
        pen.text((left + TILE / 2, top + TILE + LABEL / 2), thing.name, fill="black", font=font, anchor="mm")
    return drawn


def agreement(network: Network, images: Tensor, things: Sequence[Named], assets: Assets) -> str:
    """A line a thing, what the network itself and the judges put it at (1 = first), and each one's shares."""
    own = torch.tensor([thing.unit for thing in things])
    # The judges know no scenes.
    seen_by = [Judge(network), *([] if network.id == SCENES else judges(assets, without=network.id))]
    names = ["itself", *(judge.id.split(".")[0] for judge in seen_by[1:])]
    ranks = [judge(images).ranks_of(own) + 1 for judge in seen_by]
    lines = [f"{'':24s}" + "".join(f"{name:>20s}" for name in names)]
    for i, thing in enumerate(things):
        lines.append(f"{thing.name:24s}" + "".join(f"{int(rank[i]):>20}" for rank in ranks))
    for count in (1, 5):
        shares = [float((rank <= count).float().mean()) for rank in ranks]
        lines.append(f"{f'among the first {count}':24s}" + "".join(f"{share:>20.1%}" for share in shares))
    return "\n".join(lines)
