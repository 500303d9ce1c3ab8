"""The units of a version of an atlas, each with all its pictures, as pages of a static site show them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from api.web.pages.units.choosing import LIKELIEST, Chosen, Facet
from services.base.states import State
from services.catalog.layers import Unit
from services.exports.version_entries import Entry
from services.pictures.visualizations import Visualization


@dataclass(frozen=True)
class UnitPictures:
    """A unit with what the version has of it, in the order of the facets, at least one."""

    layer: str
    unit: int
    entries: Sequence[Entry]

    @property
    def label(self) -> str | None:
        """The name of its class."""
        return self.large.label

    @property
    def large(self) -> Visualization:
        """The picture that stands for it: the first one that there is."""
        found = [entry.visualization for entry in self.entries]
        return min(found, key=lambda each: LIKELIEST.index(each.state))

    @property
    def is_there(self) -> bool:
        """Whether there is a picture of it."""
        return self.large.state == State.DONE

    @property
    def digest(self) -> str | None:
        """Of that picture."""
        return self.large.digest if self.is_there else None

    @property
    def called(self) -> int | None:
        """The number of the class that it stands for; its own, in an output layer."""
        return None if self.label is None else self.unit

    @property
    def described(self) -> Unit:
        """As pages have it."""
        done = sum(entry.visualization.state == State.DONE for entry in self.entries)
        return Unit(self.large.spec.network, self.layer, self.unit, self.label, done, None, None)

    def chosen(self, before: int | None, after: int | None) -> Chosen:
        """What its page shows; `before` and `after` are the units next to it."""
        large = self.large
        facets = [_facet(entry) for entry in self.entries]
        number = next(facet.number for facet in facets if facet.digest == large.digest)
        return Chosen(large, number, facets, len(facets), None, (), True, before, after)


def units_of(entries: Iterable[Entry]) -> Iterator[UnitPictures]:
    """Entries by unit, in their order."""

    def place(entry: Entry) -> tuple[str, int]:
        return entry.visualization.objective.layer, entry.visualization.objective.unit

    for (layer, unit), of_unit in groupby(entries, key=place):
        yield UnitPictures(layer, unit, list(of_unit))


def _facet(entry: Entry) -> Facet:
    found = entry.visualization
    return Facet(entry.facet, found.digest, found.state, found.activation, found.error)
