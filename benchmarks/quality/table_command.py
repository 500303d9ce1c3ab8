"""`python -m benchmarks.quality`: the whole table."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.quality.assets import Assets, Photographs
from benchmarks.quality.making import made
from benchmarks.quality.measuring.differences import compared
from benchmarks.quality.measuring.evaluation import Row, real_row, reference, row
from benchmarks.quality.measuring.hidden_units import hidden_rows
from benchmarks.quality.measuring.judged import Judged, judged
from benchmarks.quality.measuring.judges import Judge, panel
from benchmarks.quality.measuring.kept_rows import KeptRows
from benchmarks.quality.measuring.real import Real, look
from benchmarks.quality.measuring.reconstruction import reconstruction
from benchmarks.quality.measuring.report import differences, table, write, write_rows
from benchmarks.quality.options import add_assets, add_frechet_resamples, add_threads
from benchmarks.quality.plan import BATCH, Plan
from benchmarks.quality.techniques import UNTRAINED, Generated, Technique, Untrained
from imago_engine.synthesis.networks.load import load_network
from imago_engine.weights import shipped_generator

ROOT = Path(__file__).parents[2]
NETWORK = "efficientnet_lite0.imagenet"
DEFAULT_GENERATOR = shipped_generator()
PREVIOUS_GENERATOR = DEFAULT_GENERATOR.with_name("previous.safetensors")
RESULT = ROOT / "benchmarks" / "results" / "quality.json"
CACHE = ROOT / ".imago" / "bench" / "quality"
RECONSTRUCTED = 500
MINUS = "shipped_minus_this"
"""Where a row has the differences of the shipped generator from it."""


def parser() -> argparse.ArgumentParser:
    accepted = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description="Measure the shipped generator's pictures against baselines and photographs. What was "
        "made is kept and used again. `python -m benchmarks.quality grid` draws well-known classes.",
    )
    accepted.add_argument("--generator", type=Path, default=DEFAULT_GENERATOR, metavar="FILE")
    accepted.add_argument(
        "--previous", type=Path, metavar="FILE", help="another generator for a row of its own"
    )
    add_assets(accepted)
    accepted.add_argument(
        "--quick",
        action="store_true",
        help="10 classes, 6 units, no other network: checks that it works, measures little",
    )
    accepted.add_argument(
        "--keep",
        action="store_true",
        help="take from the result file that is there what it has under the same conditions: the baselines, "
        "or the generator before this one",
    )
    accepted.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="default benchmarks/results/quality.json; --quick: in the cache",
    )
    accepted.add_argument(
        "--cache", type=Path, default=CACHE, metavar="DIR", help="default .imago/bench/quality"
    )
    add_frechet_resamples(accepted)
    add_threads(accepted)
    return accepted


def run(arguments: Sequence[str]) -> None:
    """Make, judge, print, write."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    assets = Assets(options.assets)
    if not options.generator.is_file():
        raise SystemExit(f"{options.generator}: no such generator; name one with --generator")
    plan = Plan.quick() if options.quick else Plan.full()
    photographs = assets.photographs().of_every(5 if options.quick else 1)
    network = load_network(NETWORK)
    everybody = panel(assets)

    shipped = Generated("dgn-am", network, options.generator)
    generated = [shipped]
    previous = options.previous or (PREVIOUS_GENERATOR if PREVIOUS_GENERATOR.is_file() else None)
    if previous is not None:
        generated.append(Generated("dgn-am-previous", network, previous))
    baselines: list[Technique] = [Untrained(id, network, equal_to=shipped) for id in UNTRAINED]
    everyone: list[Technique] = [*generated, *baselines]

    start = time.monotonic()

    def photographs_at(input_size: int) -> Real:
        """What they do at the size at which a technique's pictures are looked at."""
        return look(
            photographs,
            everybody,
            network,
            plan.layers,
            input_size=input_size,
            small_size=shipped.generator.info.image_size,
            cache=options.cache,
        )

    out = options.out or (options.cache / "quality-quick.json" if options.quick else RESULT)
    conditions = _conditions(plan, [judge.id for judge in everybody], options.threads)
    earlier = KeptRows(out, conditions, without=MINUS) if options.keep else None
    rows: list[Row] = []
    first: Judged | None = None
    for technique in everyone:
        if earlier is not None and (kept := earlier.of(technique)) is not None:
            rows.append(kept)
            continue
        pictures = made(technique, plan, options.cache)
        said, real = judged(pictures, plan, everybody), photographs_at(technique.input_size)
        seen = assets.classes_in(technique.trained_on) if isinstance(technique, Generated) else ()
        rows.append(row(technique, pictures, said, plan, real, seen))
        if isinstance(technique, Generated):
            rows[-1] |= about(technique, photographs, everybody, options.cache)
        if technique is shipped:
            first = said
        elif first is not None:
            resamples = options.frechet_resamples if isinstance(technique, Generated) else 0
            rows[-1][MINUS] = compared(said, first, reference(real), resamples)
    ceiling = real_row(photographs_at(shipped.input_size), len(plan.realism))
    print(table([*rows, ceiling]))
    print(differences(rows, MINUS))
    hidden = [] if options.quick else list(hidden_rows(options.generator, assets, photographs, options.cache))
    write(out, rows, ceiling, hidden, conditions)
    print(f"{out} ({(time.monotonic() - start) / 60:.1f} min)", file=sys.stderr)


def about(technique: Generated, photographs: Photographs, panel: Sequence[Judge], cache: Path) -> Row:
    """Which generator it is, and how well it inverts its encoder; measured once a file."""
    judges = "-".join(judge.id for judge in panel)
    kept = cache / f"reconstruction-{technique.description['sha256'][:16]}-{judges}.json"
    if not kept.exists():
        print(f"{technique.name}: {RECONSTRUCTED} copies of photographs", file=sys.stderr, flush=True)
        copies = reconstruction(technique.generator, photographs.every(RECONSTRUCTED), panel)
        write_rows(kept, {"reconstruction": asdict(copies) if copies is not None else None})
    return {**json.loads(kept.read_text("utf-8")), "generator": technique.description}


def _conditions(plan: Plan, panel: list[str], threads: int) -> dict[str, Any]:
    return {
        "network": NETWORK,
        "judges": panel,
        "classes": f"{len(plan.classes)} with {len(plan.class_seeds)} seeds each",
        "hidden_units": len(plan.units),
        "facets": f"{len(plan.seeds)} seeds of {len(plan.faceted)} classes",
        "frechet": f"MobileNetV2 features (1280), Ledoit-Wolf covariances, {len(plan.realism)} pictures each",
        "device": f"CPU, {threads} threads, batches of up to {BATCH}",
        "load": round(os.getloadavg()[0], 1),
        "torch": version("torch"),
    }
