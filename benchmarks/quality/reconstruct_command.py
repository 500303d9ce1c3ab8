"""`python -m benchmarks.quality reconstruct`: how well generators invert their encoders, in a minute each."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict

import torch

from benchmarks.quality.assets import Assets
from benchmarks.quality.candidates_command import candidate
from benchmarks.quality.measuring.judges import judges
from benchmarks.quality.measuring.reconstruction import reconstruction
from benchmarks.quality.options import add_assets, add_threads
from imago_engine.synthesis.generators.files import load_generator

COLUMNS = ("agreement_top1", "agreement_top5", "frechet", "features", "pixels")


def parser() -> argparse.ArgumentParser:
    accepted = argparse.ArgumentParser(
        prog="python -m benchmarks.quality reconstruct",
        description="Show judges what generators make of photographs that they never saw, G(E(x)): one pass "
        "forward, so that differences are the generators' own.",
    )
    accepted.add_argument("candidates", nargs="+", type=candidate, metavar="NAME=FILE")
    add_assets(accepted)
    accepted.add_argument("--photographs", type=int, default=500, metavar="N")
    accepted.add_argument(
        "--projected", action="store_true", help="within the directions that an ascent moves in"
    )
    add_threads(accepted)
    return accepted


def run(arguments: Sequence[str]) -> None:
    """Measure and print."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    assets = Assets(options.assets)
    photographs, panel = assets.photographs().every(options.photographs), judges(assets)
    print(f"| generator | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name, file, _ in options.candidates:
        found = reconstruction(load_generator(file), photographs, panel, options.projected)
        figures = {} if found is None else asdict(found)
        cells = [f"{figures[c]:.4f}" if c in figures else "–" for c in COLUMNS]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
