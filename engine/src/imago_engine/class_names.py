"""Units of a network's output by the names of their classes, `"volcano"`, beside the words of `units`.

A name is a whole label, or one of those that it lists (ImageNet's are such as "tench, Tinca tinca"), in any
case. What reads as numbers is never a name.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from unicodedata import normalize

from imago_engine.units import UnitsError, parse_units, read_units

_LONGEST_NAME = 200
_MOST_NAMED = 8
"""Classes of one name that are told at most."""


def named_units(
    units: str | Sequence[int], *, layer: str, count: int, labels: Sequence[str] = ()
) -> Sequence[int]:
    """As `parse_units`, or the unit of a class; `labels` are the units' names where they have any. Raises
    `UnitsError`, which names classes like the one that there is not.
    """
    if isinstance(units, str) and (named := _named(units, labels)):
        return [_only(units, named, labels)]
    try:
        return parse_units(units, layer=layer, count=count)
    except UnitsError as error:
        raise UnitsError(f"{error}{or_class(units, labels)}") from None


def unit_of_class(name: str, labels: Sequence[str]) -> int:
    """The unit whose label this is, or lists it. Raises `UnitsError`."""
    named = _named(name, labels)
    if not named:
        raise UnitsError(f"no class is called {name.strip()!r:.80}{or_class(name, labels)}")
    return _only(name, named, labels)


def or_class(units: object, labels: Sequence[str]) -> str:
    """The sentence about classes for a refusal of units, with the names that are close to what was given."""
    if not labels:
        return ""
    names = {name: label for label in labels for name in _names(label)}
    text = _as_compared(units)[:_LONGEST_NAME] if isinstance(units, str) else ""
    close = get_close_matches(text, names, n=5, cutoff=0.7)
    near = list(dict.fromkeys(names[name] for name in close)) or labels[:1]
    return f". A class can also be named, by itself, such as {' or '.join(map(repr, near))}"


def _named(text: str, labels: Sequence[str]) -> Sequence[int]:
    """Units whose label is this, else those whose label lists it."""
    if not labels or _reads_as_numbers(text):
        return []
    name = _as_compared(text)
    whole = [unit for unit, label in enumerate(labels) if _as_compared(label) == name]
    return whole or [unit for unit, label in enumerate(labels) if name in _names(label)]


def _reads_as_numbers(text: str) -> bool:
    try:
        read_units(text)
    except UnitsError:
        return False
    return True


def _only(text: str, named: Sequence[int], labels: Sequence[str]) -> int:
    if len(named) > 1:
        each = ", ".join(f"{unit} ({labels[unit]})" for unit in named[:_MOST_NAMED])
        more = ", …" if len(named) > _MOST_NAMED else ""
        raise UnitsError(
            f"{len(named)} classes are called {text.strip()!r}: {each}{more}; name one by number"
        )
    return named[0]


def _names(label: str) -> Sequence[str]:
    compared = _as_compared(label)
    return compared, *compared.split(", ")


def _as_compared(name: str) -> str:
    """Without case, and with accents as parts of their letters (some systems type them as characters)."""
    return normalize("NFC", normalize("NFC", name).casefold()).strip()
