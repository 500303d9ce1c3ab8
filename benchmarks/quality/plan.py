"""Which pictures a technique makes, in which batches."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from benchmarks.quality.lists import Unit, classes, hidden_units
from imago_engine.synthesis.ascent import Item

BATCH = 16
"""Pictures made together: full groups of the engine on two cores."""
FIRST_SEED = 0


@dataclass(frozen=True)
class Plan:
    """`classes` have one picture for each of `class_seeds`, `units` one (seed 0); `faceted`, some of the
    classes, have one for each of `seeds`. Fréchet distances are measured of seed 0 of `realism`, others of
    the classes: they compare at equal numbers only.
    """

    classes: tuple[Unit, ...]
    units: tuple[Unit, ...]
    faceted: tuple[Unit, ...]
    seeds: tuple[int, ...]
    class_seeds: tuple[int, ...]
    realism: tuple[Unit, ...]

    @classmethod
    def full(cls) -> "Plan":
        """200 classes with two seeds each, 60 hidden units, 8 seeds of 20 classes."""
        chosen = classes()
        return cls(chosen, hidden_units(), chosen[5::10], tuple(range(8)), (0, 1), chosen[::2])

    @classmethod
    def of_classes(cls, count: int = 200, seeds: int = 2) -> "Plan":
        """The same without hidden units: what generators and recipes are told apart by. With fewer classes
        or another number of seeds, the facets are what the classes have.
        """
        full = replace(cls.full(), units=())
        if (count, seeds) == (len(full.classes), len(full.class_seeds)):
            return full
        chosen = full.classes[:: len(full.classes) // count][:count]
        each, faceted = tuple(range(seeds)), chosen if seeds > 1 else ()
        return cls(chosen, (), faceted, each, each, tuple(unit for unit in chosen if unit in full.realism))

    @classmethod
    def quick(cls) -> "Plan":
        """A little of each, to see that everything works; its figures mean little."""
        chosen = classes()[5::20]
        return cls(chosen, hidden_units()[::10], chosen[:2], tuple(range(3)), (0, 1), chosen)

    @property
    def targets(self) -> tuple[Unit, ...]:
        return self.classes + self.units

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(unit.layer for unit in self.targets))

    @property
    def pictures(self) -> int:
        return len(self._wanted())

    def batches(self) -> Iterator[tuple[str, list[Item]]]:
        """(layer, items) of at most `BATCH` pictures: classes seed by seed, hidden units, then the facets
        beyond those seeds.
        """
        for layer, group in groupby(self._wanted(), key=lambda pair: pair[0]):
            items = [item for _, item in group]
            for start in range(0, len(items), BATCH):
                yield layer, items[start : start + BATCH]

    def _wanted(self) -> list[tuple[str, Item]]:
        asked = [(unit, seed) for seed in self.class_seeds for unit in self.classes]
        asked += [(unit, FIRST_SEED) for unit in self.units]
        asked += [(unit, seed) for unit in self.faceted for seed in self.seeds]
        return [(unit.layer, Item(unit.unit, seed)) for unit, seed in dict.fromkeys(asked)]
