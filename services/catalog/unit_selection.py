"""Which units of the layers that are meant are meant by words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imago_engine.class_names import named_units
from imago_engine.units import UnitsError, UnitWords, read_units, written
from services.catalog.layer_selection import Selection
from services.catalog.layers import Layer


@dataclass(frozen=True)
class ChosenUnits:
    """Units of one layer, ascending, at least one. `words` mean the same where they are read for it alone."""

    numbers: Sequence[int]
    words: str | Sequence[int]


def choose_units(
    selection: Selection,
    units: str | Sequence[int],
    *,
    named: str | None = None,
    labels: Sequence[str] = (),
) -> Mapping[str, ChosenUnits]:
    """The units of each layer that has any of them, by its name.

    Of a layer that is named all must be there; of several each gives those that it has. `named` is what a
    layer was called, `labels` are the names of its units. Raises `UnitsError`.
    """
    if selection.is_name:
        (layer,) = selection.layers
        numbers = named_units(units, layer=named or layer.name, count=layer.units, labels=labels)
        return {layer.name: ChosenUnits(numbers, units)}
    words = read_for(units, selection.layers)
    of_count = {}
    for count in {layer.units for layer in selection.layers}:
        if numbers := words.of(count):
            exact = words.beyond(count) is None
            of_count[count] = ChosenUnits(numbers, units if exact else written(numbers))
    return {layer.name: of_count[layer.units] for layer in selection.layers if layer.units in of_count}


def read_for(units: str | Sequence[int], layers: Sequence[Layer]) -> UnitWords:
    """What the words mean: of each layer those units that it has. Raises `UnitsError` where they name a unit
    that no layer has, or none at all.
    """
    words = read_units(units)
    if layers:
        largest = max(layers, key=lambda layer: layer.units)
        wrong = words.beyond(largest.units)
        if wrong is not None:
            raise UnitsError(
                f"names unit {wrong}; the largest of these layers, {largest.name!r}, has {largest.units} "
                f"(0–{largest.units - 1})"
            )
        if not words.of(largest.units):
            raise UnitsError("names no unit of these layers")
    return words
