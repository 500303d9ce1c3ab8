"""Rows of an earlier run that would come out the same: what was measured under the same conditions."""

import json
from pathlib import Path
from typing import Any

from benchmarks.quality.measuring.evaluation import Row
from benchmarks.quality.measuring.report import plain
from benchmarks.quality.techniques import Generated, Technique

CONDITIONS = ("network", "judges", "classes", "hidden_units", "facets", "frechet", "torch")
"""Of the file as a whole; load and threads change no figure but the seconds."""


class KeptRows:
    """The rows of a result file; none where it is missing or was measured under other conditions. What a row
    has under `without` is left out: it was said of what was first in that file."""

    def __init__(self, file: Path, conditions: dict[str, Any], without: str | None = None) -> None:
        self._without = without
        content = json.loads(file.read_text("utf-8")) if file.exists() else {}
        before = content.get("conditions", {})
        same = all(before.get(name) == conditions[name] for name in CONDITIONS)
        self._rows: list[Row] = content.get("techniques", []) if same else []

    def of(self, technique: Technique) -> Row | None:
        """The row of a technique, under its present name and marked as `kept`."""
        for row in self._rows:
            if _is_of(row, technique):
                kept = {name: value for name, value in row.items() if name != self._without}
                return {**kept, "technique": technique.name, "kept": True}
        return None


def _is_of(row: Row, technique: Technique) -> bool:
    if (row["steps"], row["input_size"]) != (technique.steps, technique.input_size):
        return False
    if isinstance(technique, Generated):
        before, now = row.get("generator") or {}, plain(technique.description)
        return all(before.get(name) == now[name] for name in ("sha256", "recipe"))
    return bool(row["technique"] == technique.name)
