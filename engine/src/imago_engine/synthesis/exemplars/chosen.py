"""Which pictures of a scan are exemplars, and of which units: what is to be cut out of each."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import torch

from imago_engine.synthesis.exemplars.crops import field_box
from imago_engine.synthesis.exemplars.scan import Scan
from imago_engine.synthesis.receptive_fields.receptive_field import Box


class Choice(NamedTuple):
    """A unit that a picture excites so much that it is among its exemplars; the strongest has rank 0."""

    layer: str
    unit: int
    rank: int
    activation: float
    place: tuple[int, int] | None
    """(y, x) in the layer's map, None of a layer without places."""
    box: Box | None
    """What the unit sees there, in pixels of the network's input; None for all of it."""


class Chosen:
    """All exemplars of a scan, by the numbers of their pictures."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        strongest = scan.strongest
        self._kept = strongest.pictures.shape[1]
        pictures = strongest.pictures.flatten().cpu()
        order = pictures.argsort(stable=True)
        self._order = order[int((pictures < 0).sum()) :]  # [E]: unit · kept + rank
        self._pictures = pictures[self._order].contiguous()
        self._activations = strongest.activations.flatten().cpu()
        self._places = strongest.places.flatten().cpu()

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        first = int(torch.searchsorted(self._pictures, number))
        return first < len(self._pictures) and int(self._pictures[first]) == number

    def of(self, number: int) -> Iterator[Choice]:
        """The units of which the picture of this number is an exemplar."""
        first = int(torch.searchsorted(self._pictures, number))
        last = int(torch.searchsorted(self._pictures, number, right=True))
        for at in self._order[first:last].tolist():
            unit, rank = divmod(at, self._kept)
            index = bisect_right(self._scan.first, unit) - 1
            layer, place = self._scan.layers[index], int(self._places[at])
            yield Choice(
                layer=layer.name,
                unit=unit - self._scan.first[index],
                rank=rank,
                activation=float(self._activations[at]),
                place=divmod(place, layer.shape[2]) if len(layer.shape) == 3 else None,
                box=field_box(layer, place, self._scan.size),
            )
