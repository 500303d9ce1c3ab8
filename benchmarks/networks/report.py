"""docs/networks.md: what was tried, what works, and what is refused and why."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from benchmarks.networks.trial import Trial

_INTRODUCTION = """\
# Networks

Every classification architecture of torchvision and timm, made with random weights and 11 classes,
registered as a file of one's own, inspected, and given one short ascent: `make sweep-networks`, one process
each, at most {seconds} s of processor time and {memory} GB.
{tried} of the {all} architectures have been tried so far: {tallies}. An architecture that is missing here may
work all the same.

- **works**: `output` is the layer whose values are what the network returns (compared on two pictures, alone
  and together), and the ascent ends in a picture.
- **no output**: what the network returns is no layer's values, so `output` is refused and says so; its other
  layers can be explained.
- **refused**: the service answers with this reason.
- **not tried**: larger than the limits.

*Input* is the network's own in pixels; *runs at* says which others it takes. Where the size that a generator
recommends (112 for the shipped one) is not among them, pictures are made at the network's own.
"""
_ROW = "| `{id}` | {outcome} | {size} | {sizes} | {layers} | {output} | {why} |"


def write(
    path: Path, trials: Collection[Trial], everything: Sequence[str], seconds: float, memory: float
) -> None:
    """Write the page anew from all trials that there are."""
    tallies = Counter(trial.outcome for trial in trials)
    shown = ", ".join(f"{outcome} {count}" for outcome, count in tallies.most_common())
    tried = len(trials) - tallies["not tried"]
    text = _INTRODUCTION.format(
        seconds=round(seconds),
        memory=round(memory),
        tried=tried,
        all=len(everything),
        tallies=shown or "none",
    )
    lines = ["| network | outcome | input | runs at | layers | output | |", "|---|---|---|---|---|---|---|"]
    for trial in sorted(trials, key=lambda trial: trial.id):
        lines.append(
            _ROW.format(
                id=trial.id,
                outcome=trial.outcome,
                size=trial.size or "",
                sizes=trial.sizes,
                layers=trial.layers or "",
                output=f"`{trial.output}`" if trial.output else "",
                why=_cell(trial.why),
            )
        )
    path.write_text(text + "\n" + "\n".join(lines) + "\n")


def _cell(text: str, limit: int = 160) -> str:
    one_line = " ".join(text.split()).replace("|", "\\|")
    return one_line if len(one_line) <= limit else one_line[:limit] + "…"
