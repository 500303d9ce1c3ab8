"""Which pictures a technique makes, in which batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from benchmarks.quality.lists import Unit, classes, hidden_units
from imago_engine.synthesis.ascent import Item

BATCH = 20
FIRST_SEED = 0


@dataclass(frozen=True)
class Plan:
    """`classes` and `units` have one picture each (seed 0); `faceted`, some of the classes, one for each of
    `seeds`.
    """

    classes: tuple[Unit, ...]
    units: tuple[Unit, ...]
    faceted: tuple[Unit, ...]
    seeds: tuple[int, ...]

    @classmethod
    def full(cls) -> "Plan":
        chosen = classes()
        return cls(chosen, hidden_units(), chosen[5::20], tuple(range(8)))

    @classmethod
    def quick(cls) -> "Plan":
        """A tenth, to see that everything works; its figures mean little."""
        chosen = classes()[5::10]
        return cls(chosen, hidden_units()[::10], chosen[:2], tuple(range(3)))

    @classmethod
    def of_classes(cls) -> "Plan":
        """One picture of each class: what candidates are told apart by."""
        return cls(classes(), (), (), (FIRST_SEED,))

    @property
    def targets(self) -> tuple[Unit, ...]:
        return self.classes + self.units

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(unit.layer for unit in self.targets))

    @property
    def pictures(self) -> int:
        return len(self.targets) + len(self.faceted) * (len(self.seeds) - 1)

    def batches(self) -> Iterator[tuple[str, list[Item]]]:
        """(layer, items) of at most `BATCH` pictures: classes, hidden units, then the facets beyond the
        first.
        """
        wanted = [(unit.layer, Item(unit.unit, FIRST_SEED)) for unit in self.targets]
        others = [seed for seed in self.seeds if seed != FIRST_SEED]
        wanted += [(unit.layer, Item(unit.unit, seed)) for unit in self.faceted for seed in others]
        for layer, group in groupby(wanted, key=lambda pair: pair[0]):
            items = [item for _, item in group]
            for start in range(0, len(items), BATCH):
                yield layer, items[start : start + BATCH]
