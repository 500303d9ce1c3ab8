"""The model card of a trained generator: what its training's files say about it, for people."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imago_engine.generators import GeneratorInfo
from imago_engine.synthesis.generators.files import file_sha256
from imago_engine.training.results.journal import LOG
from imago_engine.training.run.origin import without_folders

BEGIN = "<!-- facts of the training, written by `export`: changes between these lines are lost -->"
END = "<!-- end of facts -->"
ROWS = 12
"""Of the table of figures, at most."""


@dataclass(frozen=True)
class TrainingRecord:
    """What is known of a training beside its generator's description. `log` is its log's entries."""

    options: dict[str, Any]
    corrupt_pictures: int
    log: list[dict[str, Any]]


def read_log(run_folder: Path) -> list[dict[str, Any]]:
    """The entries of a run's log; a line that a full disk or a kill cut short is left out."""
    path = run_folder / LOG
    entries = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return entries


def write_card(generator_file: Path, info: GeneratorInfo, record: TrainingRecord) -> Path:
    """Write `<name>.md` beside the generator's file. In a card that is there already only the facts change:
    those between the marks or, where people wrote it all, at its end.
    """
    path = generator_file.with_suffix(".md")
    facts = f"{BEGIN}\n{facts_of(generator_file, info, record)}{END}\n"
    if not path.exists():
        title = f"# {generator_file.stem}\n\n{_summary(generator_file, info)}\n\n"
        path.write_text(title + facts)
        return path
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        path.write_text(before + facts.rstrip("\n") + after)
    else:
        path.write_text(text.rstrip("\n") + "\n\n" + facts)
    return path


def _summary(generator_file: Path, info: GeneratorInfo) -> str:
    code = " × ".join(map(str, info.code_shape))
    return (
        f"`{generator_file.name}` turns a code of {code} numbers, what `{info.encoder}` gives at layer "
        f"`{info.encoder_layer}`, into a picture of {info.image_size}×{info.image_size} pixels. It knows "
        "what its training pictures show and draws everything else with these means."
    )


def facts_of(generator_file: Path, info: GeneratorInfo, record: TrainingRecord) -> str:
    """Markdown: a table of facts, the figures over the training, and its settings."""
    t = info.training
    seen, trained = t["pictures_seen"], t["train_pictures"]
    sources = ", ".join(f"`{name}`" for name in t["sources"]) or "unnamed"
    rows = {
        "architecture": f"`{info.architecture}` {json.dumps(info.arguments)}",
        "inverts": f"`{info.encoder}`, layer `{info.encoder_layer}`"
        + (f" averaged to {grid}×{grid} places" if (grid := t.get("encoder_grid")) else "")
        + ", of pictures encoded at "
        f"{t['encoder_input_size']} pixels; weights sha256 `{info.encoder_sha256}`",
        "file": f"sha256 `{file_sha256(generator_file)}`, {generator_file.stat().st_size / 2**20:.1f} MiB",
        "data": f"{sources}: {trained:,} pictures trained on, {t['held_out_pictures']:,} held out, "
        f"{record.corrupt_pictures:,} could not be decoded",
        "training": f"preset `{t['preset']}`, {t['steps']:,} steps, {seen:,} pictures seen "
        f"({seen / trained:.1f} times each), {t['hours']} hours",
        "computed on": t["computed_on"] or "not recorded",
        "started from": f"a generator, sha256 `{t['warm_start']}`" if t["warm_start"] else "nothing",
        "command": f"`{t['command']}`" if t["command"] else "not recorded",
        "recommended ascent": f"`{json.dumps(info.recommended)}`",
    }
    parts = [_table(("", ""), list(rows.items()))]
    entries = {e["pictures"]: e for e in record.log if "held_out" in e and e["pictures"] <= seen}
    if entries:
        chosen = [entries[p] for p in _spread(sorted(entries))]
        names = list(chosen[-1]["held_out"])
        cells = [
            (f"{e['pictures']:,}", *(_figure(e["held_out"].get(name)) for name in names)) for e in chosen
        ]
        parts += [
            "## Figures over the training\n",
            "Reconstruction of held-out pictures from their codes alone. `pixels` is the mean squared error "
            "of RGB in [0, 1], `layout` that of 8×8 averages in [−1, 1]; `features` and `code` are squared "
            "errors relative to the variance over the batch (unrelated pictures give 1.5–2); `texture` is "
            "the distance of the local strength of edges.\n",
            _table(("pictures seen", *names), cells),
        ]
    losses = [e for e in record.log if "rate" in e and e["pictures"] <= seen]
    if losses:
        last = {k: v for k, v in losses[-1].items() if k not in ("pictures", "time", "rate")}
        parts += [
            "Losses at the end: " + ", ".join(f"{name} {value:.4g}" for name, value in last.items()) + ".\n"
        ]
    settings = ", ".join(
        f"{name} {without_folders(str(value))}"
        for name, value in record.options.items()
        if value not in ("", None)
    )
    parts += ["## Settings\n", settings + "\n"]
    return "\n".join(parts)


def _figure(value: float | None) -> str:
    """A figure that was not measured yet at the time is a dash."""
    return "–" if value is None else f"{value:.4f}"


def _spread(values: Sequence[int]) -> list[int]:
    """At most ROWS of the values, evenly, with the first and the last."""
    places = np.linspace(0, len(values) - 1, min(ROWS, len(values))).round().astype(int)
    return [values[place] for place in places]


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
