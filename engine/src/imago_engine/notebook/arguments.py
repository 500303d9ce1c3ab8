"""What people pass to the functions for notebooks, as the engine takes it: whole numbers of any library.

NumPy's and torch's whole numbers are as good as Python's; true and 1.5 are none.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import index
from typing import Any

from imago_engine.candidates import MOST_CANDIDATES, candidate_seeds
from imago_engine.class_names import named_units, or_class
from imago_engine.objectives import TokenObjective, UnitObjective
from imago_engine.units import UnitsError

LEAST_SEED, LARGEST_SEED = -(2**63), 2**64 - 1
"""Of torch's random numbers."""


def whole(value: Any) -> int | None:
    """The number, None for what is no whole number. Of a tensor the only value."""
    if isinstance(value, bool) or "bool" in str(getattr(value, "dtype", "")):
        return None
    try:
        return index(value)
    except TypeError:
        return None


def candidates_of(candidates: object) -> int:
    """How many candidates. Raises `ValueError`."""
    count = whole(candidates)
    if count is None or not 1 <= count <= MOST_CANDIDATES:
        raise ValueError(f"candidates: is a number from 1 to {MOST_CANDIDATES}; got {candidates!r:.80}")
    return count


def place_given(position: Any) -> Any:
    """A position that can be read for each unit anew: one that is given number by number can be read once."""
    return tuple(position) if isinstance(position, Iterator) else position


def seeds_of(seeds: object, candidates: int = 1) -> list[int]:
    """One seed or several, at least one, each with room for its candidates. Raises `ValueError`."""
    found = _all_whole(seeds)
    if not found or not all(
        LEAST_SEED <= seed <= LARGEST_SEED for asked in found for seed in candidate_seeds(asked, candidates)
    ):
        raise ValueError(f"seeds: expected a whole number of 64 bits, or some of them; got {seeds!r:.80}")
    return found


def units_of(units: Any, layer: str, count: int, labels: Sequence[str]) -> Sequence[int]:
    """The units meant. A class is named by its whole label, or by one of the names that it lists. Raises
    `UnitsError`.
    """
    asked = units if isinstance(units, str) else _all_whole(units)
    if asked is None:
        expected = f'expected a number, numbers, "all" or "0-7,12"{or_class(units, labels)}'
        raise UnitsError(f"units {units!r:.80}: {expected}")
    try:
        return named_units(asked, layer=layer, count=count, labels=labels)
    except UnitsError as error:
        raise UnitsError(f"units {units!r:.80}: {error}") from None


def objective_of(
    layer: str, unit: int, position: Any, token: Any, tokens: int | None
) -> UnitObjective | TokenObjective:
    """One unit at one place; `tokens` is how many the layer has, None for a layer without. Raises
    `ObjectiveError`.
    """
    from imago_engine.synthesis.objectives import ObjectiveError

    if token is not None and tokens is None:
        raise ObjectiveError(f"token {token}: layer {layer} has no tokens; expected none")
    if position is not None and tokens is not None:
        raise ObjectiveError(
            f"position {position}: layer {layer} has tokens; expected token=0 to {tokens - 1}"
        )
    if token is not None and tokens is not None:
        number = whole(token)
        if number is None or number < 0:
            raise ObjectiveError(f"token {token!r:.80}: expected a number from 0 to {tokens - 1}")
        return TokenObjective(layer=layer, unit=unit, token=number)
    if position is None:
        return UnitObjective(layer=layer, unit=unit)
    place = _all_whole(position)
    if place is None or len(place) != 2 or min(place) < 0:
        raise ObjectiveError(f"position {position!r:.80}: expected (y, x), whole numbers from 0")
    return UnitObjective(layer=layer, unit=unit, position=(place[0], place[1]))


def _all_whole(given: Any) -> list[int] | None:
    """A number, or numbers, as a list; None where any is no whole number."""
    alone = whole(given)
    if alone is not None:
        return [alone]
    if isinstance(given, str) or not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0:
        return None
    found = [whole(value) for value in given]
    numbers = [number for number in found if number is not None]
    return numbers if len(numbers) == len(found) else None
