"""What is measured: fixed lists of classes, hidden units and well-known things, so that figures compare over
time.
"""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent / "lists"
OUTPUT = "output"
"""The layer of the logits, by the engine's alias."""


@dataclass(frozen=True)
class Unit:
    layer: str
    unit: int


@dataclass(frozen=True)
class Named:
    """An output neuron and what people call it."""

    unit: int
    name: str


def classes() -> tuple[Unit, ...]:
    """200 ImageNet classes, every fifth of the 1000."""
    return tuple(Unit(OUTPUT, int(words[0])) for words in _rows("classes.txt"))


def hundred() -> tuple[Named, ...]:
    """Every second of them, to be looked at."""
    return tuple(Named(int(words[0]), " ".join(words[2:])) for words in _rows("classes.txt")[::2])


def hidden_units() -> tuple[Unit, ...]:
    """60 hidden units: 20 evenly spaced channels of an early, a middle and the last stage of
    EfficientNet-lite0.
    """
    return tuple(Unit(words[0], int(words[1])) for words in _rows("units.txt"))


def layers() -> tuple[str, ...]:
    """19 layers of EfficientNet-lite0: its stem, its blocks, its last features and its logits."""
    return tuple(words[0] for words in _rows("layers.txt"))


def famous() -> tuple[Named, ...]:
    """40 ImageNet classes that everybody would recognise."""
    return tuple(Named(int(words[0]), " ".join(words[1:])) for words in _rows("famous.txt"))


def places() -> tuple[Named, ...]:
    """40 scenes of Places365."""
    return tuple(Named(int(words[0]), " ".join(words[1:])) for words in _rows("places.txt"))


def _rows(name: str) -> list[list[str]]:
    lines = (HERE / name).read_text("utf-8").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]
