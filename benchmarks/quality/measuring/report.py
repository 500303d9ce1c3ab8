"""The table for people and the file for machines."""

import json
import math
import os
from pathlib import Path
from typing import Any

from benchmarks.quality.measuring.evaluation import Row

COLUMNS = (
    ("technique", "technique", "{}"),
    ("agreement_top1", "top-1", "{:.1%}"),
    ("agreement_top5", "top-5", "{:.1%}"),
    ("frechet", "Fréchet", "{:.0f}"),
    ("activation_percentile", "activation pct.", "{:.1f}"),
    ("diversity", "diversity", "{:.3f}"),
    ("seconds_per_neuron", "s/neuron", "{:.2f}"),
)


def table(rows: list[Row]) -> str:
    """Markdown, one line a technique."""
    cells = [[title for _, title, _ in COLUMNS]]
    cells += [
        ["–" if row.get(key) is None else form.format(row[key]) for key, _, form in COLUMNS] for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write(
    path: Path, techniques: list[Row], real: Row, hidden: list[Row], conditions: dict[str, Any]
) -> None:
    """`{"techniques": […], "real": {…}, "hidden": […], "conditions": {…}}`."""
    content = {"techniques": techniques, "real": real, "hidden": hidden, "conditions": conditions}
    write_rows(path, content)


def differences(rows: list[Row], key: str) -> str:
    """Markdown, a line a technique that has differences under this key, with their 95 % intervals."""
    lines = ["| technique | figure | difference | 95 % |", "|---|---|---|---|"]
    for row in rows:
        for name, found in row.get(key, {}).items():
            low, high = found["interval"]
            number = f"{found['difference']:+.4f} | [{low:+.4f}, {high:+.4f}]"
            lines.append(f"| {row['technique']} | {name} | {number} |")
    return "\n".join(lines)


def write_rows(path: Path, content: dict[str, Any]) -> None:
    """As JSON, whole or not at all; floats to four places, NaN as null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n", "utf-8")
    os.replace(unfinished, path)


def plain(value: Any) -> Any:
    """As it is written: floats to four places, NaN as null."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
