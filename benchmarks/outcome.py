"""Where the benchmarks write what they measured: `benchmarks/results/NAME.json`."""

import json
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


def write(name: str, outcome: Mapping[str, object], path: Path | None = None) -> None:
    """Write the outcome of a benchmark, and say where."""
    path = path or FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(outcome, indent=2) + "\n")
    print(f"written to {path}")
