"""Today's engine against an earlier one, in one run: `make bench-engine`.

Each engine is a process that imports the code of its own revision; both make the same classes of
EfficientNet-lite0 with the same generator, by the recipe that it recommends, turn about. Judges that took no
part say what they see, and the differences come with 95 % intervals over classes, paired, because a class is
as hard for both. An interrupted run goes on where it was.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

import torch

from benchmarks import outcome
from benchmarks.engine.judging import Panel, Row
from benchmarks.engine.making import BATCH, ROOT, SHIPPED, Engine, Made, both_made, engine_source_at
from benchmarks.quality.assets import Assets
from benchmarks.quality.measuring.differences import compared
from benchmarks.quality.measuring.judged import Judged
from benchmarks.quality.measuring.report import plain
from benchmarks.quality.measuring.statistics import TOPS, agreement
from imago_engine.synthesis.generators.files import file_sha256

NETWORK = "efficientnet_lite0.imagenet"
BEFORE = "8789c65"
"""The last revision before steps climbed copies in bfloat16."""
FIGURES = (("agreement_top1", 100, " %"), ("agreement_top5", 100, " %"), ("frechet", 1, ""))
"""What is compared, by what it is multiplied in the table, and the unit there."""


def parser() -> argparse.ArgumentParser:
    accepted = argparse.ArgumentParser(description=__doc__)
    accepted.add_argument("--classes", type=int, default=200, help="evenly spaced ones of the 1000")
    accepted.add_argument("--seed", type=int, default=0)
    accepted.add_argument("--revision", default=BEFORE, help="of the old engine, as git knows it")
    accepted.add_argument(
        "--generator", type=Path, help="a file for both; else the old revision's default, which both can read"
    )
    accepted.add_argument("--precision", choices=("bfloat16", "float32"), help="of the new engine's recipe")
    accepted.add_argument("--steps", type=int, help="of both; to see that everything works, a few are enough")
    accepted.add_argument("--frechet-resamples", type=int, default=100, help="seconds each")
    accepted.add_argument("--assets", type=Path, metavar="DIR", help="judges, photographs (or IMAGO_ASSETS)")
    accepted.add_argument("--cache", type=Path, default=ROOT / ".imago" / "bench" / "engine", metavar="DIR")
    accepted.add_argument("--out", type=Path, help="default: benchmarks/results/engine.json")
    return accepted


def main() -> int:
    options = parser().parse_args()
    assets = Assets(options.assets)
    units = [n * 1000 // options.classes for n in range(options.classes)]
    old = engine_source_at(options.revision, options.cache)
    generator = _generator_of(options, old)
    engines = _engines(options, old, generator)
    try:
        made = both_made(engines, units, options.seed, options.cache)
    except KeyboardInterrupt:
        return 130
    torch.set_flush_denormal(True)
    panel = Panel(assets, NETWORK, made[1].images.shape[-1], options.cache)
    opinions = [panel.opinion(each.images, units) for each in made]
    rows = [
        _row(each, said, panel.distance(said.features)) for each, said in zip(made, opinions, strict=True)
    ]
    summary = {
        "speedup": statistics.median(a / b for a, b in zip(made[0].wall, made[1].wall, strict=True)),
        "speedup_cpu": statistics.median(a / b for a, b in zip(made[0].cpu, made[1].cpu, strict=True)),
        "old": {"revision": options.revision, **rows[0]},
        "new": rows[1],
        "new_minus_old": compared(opinions[0], opinions[1], panel.reference, options.frechet_resamples),
        "conditions": {
            "network": NETWORK,
            "generator": {"file": generator.name, "sha256": file_sha256(generator)},
            "classes": len(units),
            "seed": options.seed,
            "judges": panel.names,
            "turns": f"of {BATCH} pictures, medians",
            "device": f"CPU, {os.cpu_count()} cores",
            "torch": torch.__version__,
        },
    }
    print(_table(summary))
    outcome.write("engine", plain(summary), options.out)
    return 0


def _generator_of(options: argparse.Namespace, old: Path) -> Path:
    """The generator of both engines: the one that is named, else that of the old one."""
    generator: Path = options.generator or old / SHIPPED
    return generator


def _engines(options: argparse.Namespace, old: Path, generator: Path) -> list[Engine]:
    steps = {} if options.steps is None else {"steps": options.steps}
    precision = {} if options.precision is None else {"precision": options.precision}
    asked = {"network": NETWORK, "generator": str(generator.resolve())}
    return [
        Engine("old", old, {**asked, "recipe": steps}),
        Engine("new", ROOT / "engine" / "src", {**asked, "recipe": steps | precision}),
    ]


def _row(made: Made, said: Judged, distance: float) -> Row:
    return {
        **{name: agreement(said.ranks, below) for name, below in TOPS.items()},
        "frechet": distance,
        "activation": float(made.activations.mean()),
        "seconds_per_picture": statistics.median(made.wall) / BATCH,
        "cpu_seconds_per_picture": statistics.median(made.cpu) / BATCH,
        "recipe": made.recipe,
    }


def _table(summary: Row) -> str:
    lines = [f"{'':<22} {'old':>8} {'new':>8}  difference [95 %]"]
    for name, scale, unit in FIGURES:
        found = summary["new_minus_old"][name]
        low, high = found["interval"]
        lines.append(
            f"{name + unit:<22} {summary['old'][name] * scale:>8.1f} {summary['new'][name] * scale:>8.1f}  "
            f"{found['difference'] * scale:+.1f} [{low * scale:+.1f}, {high * scale:+.1f}]"
        )
    for name in ("seconds_per_picture", "cpu_seconds_per_picture"):
        lines.append(f"{name:<22} {summary['old'][name]:>8.2f} {summary['new'][name]:>8.2f}")
    lines.append(f"speedup {summary['speedup']:.2f} (processor time {summary['speedup_cpu']:.2f})")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
