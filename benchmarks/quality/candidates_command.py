"""`python -m benchmarks.quality candidates`: which of several generators to ship."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.quality.assets import Assets
from benchmarks.quality.making import made
from benchmarks.quality.measuring.evaluation import Row, of_classes
from benchmarks.quality.measuring.judges import judges
from benchmarks.quality.measuring.real import look
from benchmarks.quality.measuring.report import table, write_rows
from benchmarks.quality.options import add_assets, add_threads
from benchmarks.quality.plan import Plan
from benchmarks.quality.table_command import CACHE, NETWORK, ROOT, about
from benchmarks.quality.techniques import Generated
from imago_engine.synthesis.networks.load import load_network

RESULT = ROOT / "benchmarks" / "results" / "candidates.json"


def parser() -> argparse.ArgumentParser:
    accepted = argparse.ArgumentParser(
        prog="python -m benchmarks.quality candidates",
        description="Measure several generators, each by the recipe that its file recommends, on one picture "
        "of each of 100 classes: agreement and realism.",
    )
    accepted.add_argument("candidates", nargs="+", type=candidate, metavar="NAME=FILE")
    add_assets(accepted)
    accepted.add_argument("--out", type=Path, default=RESULT, metavar="FILE")
    accepted.add_argument("--cache", type=Path, default=CACHE, metavar="DIR")
    add_threads(accepted)
    return accepted


def candidate(text: str) -> tuple[str, Path]:
    """`NAME=FILE` of a generator, for argparse."""
    name, _, file = text.partition("=")
    if not (name and Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=FILE with the file of a generator")
    return name, Path(file)


def run(arguments: Sequence[str]) -> None:
    """Make, judge, print, write."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    assets, plan = Assets(options.assets), Plan.of_classes()
    photographs, panel = assets.photographs(), judges(assets)
    network = load_network(NETWORK)
    rows: list[Row] = []
    for name, file in options.candidates:
        generated = Generated(name, network, file)
        real = look(
            photographs,
            panel,
            network,
            Plan.full().layers,
            input_size=generated.input_size,
            small_size=generated.generator.info.image_size,
            cache=options.cache,
        )
        seen = assets.classes_in(generated.trained_on)
        figures = of_classes(made(generated, plan, options.cache), plan, panel, real, seen)
        rows.append({"technique": name, **figures, **about(generated, photographs, panel)})
        print(table(rows[-1:]), file=sys.stderr, flush=True)
    print(table(rows))
    write_rows(options.out, {"candidates": rows})
