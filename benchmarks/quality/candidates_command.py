"""`python -m benchmarks.quality candidates`: which of several generators to ship, or of several recipes."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.quality.assets import NETWORKS, Assets, named_network
from benchmarks.quality.making import made
from benchmarks.quality.measuring.differences import compared
from benchmarks.quality.measuring.evaluation import Row, of_classes, reference
from benchmarks.quality.measuring.judged import Judged, judged
from benchmarks.quality.measuring.judges import panel
from benchmarks.quality.measuring.real import look
from benchmarks.quality.measuring.report import differences, table, write_rows
from benchmarks.quality.options import add_assets, add_frechet_resamples, add_threads
from benchmarks.quality.plan import Plan
from benchmarks.quality.table_command import CACHE, NETWORK, ROOT, about
from benchmarks.quality.techniques import Generated

RESULT = ROOT / "benchmarks" / "results" / "candidates.json"
MINUS = "minus_first"
"""Where a row has its differences from the first."""


class Candidate(NamedTuple):
    """A generator's file, and what is changed of the recipe that it recommends."""

    name: str
    file: Path
    changes: dict[str, Any]


def parser() -> argparse.ArgumentParser:
    accepted = argparse.ArgumentParser(
        prog="python -m benchmarks.quality candidates",
        description="Measure several generators, each by the recipe that its file recommends, or several "
        "recipes, on two pictures of each of 200 classes and eight of 20: agreement, realism, diversity, and "
        "how each differs from the first. What was made is kept; an interrupted run goes on, and one with "
        "more seeds adds to it.",
    )
    accepted.add_argument("candidates", nargs="+", type=candidate, metavar="NAME=FILE[,PARAMETER=VALUE]")
    accepted.add_argument(
        "--network", default=NETWORK, help=f"an id of the catalog, or {', '.join(NETWORKS)}"
    )
    accepted.add_argument(
        "--classes", type=int, default=200, choices=(20, 40, 50, 100, 200), help="fewer: sooner, less sure"
    )
    accepted.add_argument("--seeds", type=int, default=2, metavar="N", help="of each class")
    add_assets(accepted)
    accepted.add_argument("--out", type=Path, default=RESULT, metavar="FILE")
    accepted.add_argument("--cache", type=Path, default=CACHE, metavar="DIR")
    add_frechet_resamples(accepted)
    add_threads(accepted)
    return accepted


def candidate(text: str) -> Candidate:
    """`NAME=FILE` of a generator, and parameters of its recipe behind commas, for argparse."""
    name, _, asked = text.partition("=")
    file, *changed = asked.split(",")
    if not (name and Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=FILE with the file of a generator")
    changes = {parameter: _value(value) for parameter, _, value in (each.partition("=") for each in changed)}
    return Candidate(name, Path(file), changes)


def _value(text: str) -> Any:
    """A number or a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def run(arguments: Sequence[str]) -> None:
    """Make, judge, print, write; after each candidate, so that an unfinished run says what it has."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    assets, plan = Assets(options.assets), Plan.of_classes(options.classes, options.seeds)
    network = named_network(options.network, options.assets)
    photographs = assets.photographs()
    measured = {"network": network.id, "classes": len(plan.classes), "seeds": len(plan.class_seeds)}
    judges = [judge for judge in panel(assets) if judge.id != network.id]
    if not any(judge.has_features for judge in judges):
        raise SystemExit(f"--network {network.id}: realism is measured by its features; name another")
    rows: list[Row] = []
    first: Judged | None = None
    for name, file, changes in options.candidates:
        generated = Generated(name, network, file, **changes)
        pictures = made(generated, plan, options.cache)
        said = judged(pictures, plan, judges)
        real = look(
            photographs,
            judges,
            network,
            plan.layers,
            input_size=generated.input_size,
            small_size=generated.generator.info.image_size,
            cache=options.cache,
        )
        figures = of_classes(pictures, said, plan, real, assets.classes_in(generated.trained_on))
        rows.append({"technique": name, **figures, **about(generated, photographs, judges, options.cache)})
        if first is None:
            first = said
        else:
            rows[-1][MINUS] = compared(first, said, reference(real), options.frechet_resamples)
        print(table(rows[-1:]), file=sys.stderr, flush=True)
        write_rows(options.out, {"candidates": rows, "conditions": measured})
    print(table(rows))
    print(differences(rows, MINUS))
