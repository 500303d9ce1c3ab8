"""How people write what they want pictures of: `NETWORK/LAYER/UNITS`, with an optional `@Y,X` or `@TOKEN`.

Network ids and layer names contain dots but never slashes. LAYER is a layer's name or `output`, or means
several: `blocks`, `convolutions`, `all`, `blocks.2.*`, joined by commas. UNITS is `207`, `0-11,207`, `all`,
`::4` (every fourth), `0-99:4` or `sample:64@7` (64 drawn at random with seed 7, which goes before a place),
or the name of a class of the output such as `volcano`, which the server knows. A position picks one place of
a convolutional layer's map, row first; without it the server takes the centre. A token picks one of a
transformer's tokens; without it the server takes the layer's usual one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from imago.errors import InvalidRequest

_PART = re.compile(
    r"(?P<all>all)|::(?P<every>\d+)|(?P<low>\d+)(-(?P<high>\d+)(:(?P<step>\d+))?)?|(?P<sample>sample:\d+(@\d+)?)"
)
_FORMS = "numbers and ranges such as 0-11,207, all, every n-th such as ::4 or 0-99:4, or sample:64@7"
_NAME = re.compile(r"[^\W\d_]")
"""A letter: what has one is no number written wrong, but a word of ours, or the name of a class."""
_WORD = re.compile(r"\s*(all|sample\s*:.*)", re.DOTALL)
_WITH_PLACE = re.compile(r"((?:sample:\s*\d+\s*@\s*\d+|[^@])*)(?:@(.*))?", re.DOTALL)
"""Units, of which a sample's seed stands behind an @ too, and a place."""
_DIGITS = 10
_PLACE = re.compile(rf"(\d{{1,{_DIGITS}}})(?:,(\d{{1,{_DIGITS}}}))?")
_TOO_LONG = re.compile(rf"\d{{{_DIGITS + 1}}}")
MOST_NUMBERS = 1_000_000
"""That a range is spread to: no layer has as many units, and no job takes as many seeds."""


@dataclass(frozen=True)
class Target:
    """Units of a layer, or of several.

    layer: dotted module name, `output`, or words for several layers: `"blocks"`, `"convolutions"`, `"all"`,
    `"blocks.2.*"`, joined by commas. units: `"0-11,207"`, `"all"`, `"::4"`, `"sample:64@7"`, unit numbers, or
    a class's name.
    position: (y, x) in the layer's own map, None for the centre. token: number of a token, for a layer of
    tokens, None for its usual one.
    """

    layer: str
    units: str | tuple[int, ...]
    position: tuple[int, int] | None = None
    token: int | None = None

    @property
    def place(self) -> str:
        """`@Y,X` or `@TOKEN`, as it is written behind units; empty for the usual place."""
        if self.position is not None:
            return "@{},{}".format(*self.position)
        return "" if self.token is None else f"@{self.token}"

    def as_json(self) -> dict[str, object]:
        """The target as the API takes it."""
        units = self.units if isinstance(self.units, str) else list(self.units)
        body: dict[str, object] = {"layer": self.layer, "units": units}
        if self.position is not None:
            body["position"] = list(self.position)
        if self.token is not None:
            body["token"] = self.token
        return body


Targets: TypeAlias = Iterable[Target | str] | Mapping[str, str | int | Iterable[int]]


def parse_units(text: str, *, where: str) -> str:
    """Check `0-11,207`, `all`, `::4`, `0-99:4`, `sample:64@7` or some of these, and return it without blanks.
    where: what to quote in the error."""
    units = re.sub(r"\s", "", text)
    if _TOO_LONG.search(units):
        raise InvalidRequest(f"{where!r}: no number of a unit, seed or token has more than {_DIGITS} digits.")
    for part in units.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise InvalidRequest(f"{where!r}: units are {_FORMS}; {text!r} is none of them.")
        if match["high"] and int(match["high"]) < int(match["low"]):
            low, high = match["low"], match["high"]
            raise InvalidRequest(f"{where!r}: the range {part} runs backwards; write {high}-{low}.")
        if 0 in (int(match["every"] or 1), int(match["step"] or 1)):
            raise InvalidRequest(f"{where!r}: {part} counts by 0; write 1 or more.")
    return units


def parse_units_or_name(text: str, *, where: str) -> str:
    """The same, or the name of a class as it is: only the server knows which there are."""
    return text.strip() if is_name(text) else parse_units(text, where=where)


def is_name(units: str) -> bool:
    """Whether units are given by the name of a class: there is a letter in them, and not in words alone."""
    parts = units.split(",")
    return _NAME.search(units) is not None and not any(_WORD.fullmatch(part.rstrip()) for part in parts)


def expand_units(units: str, count: int | None = None) -> list[int]:
    """Unit numbers of `0-11,207`, ascending, each once; of `all` and `::4` those of a layer of `count` units.

    Raises InvalidRequest for what only the server can tell: samples, and names of classes; and for more than
    `MOST_NUMBERS`.
    """
    numbers: set[int] = set()
    for part in units.split(","):
        match = _PART.fullmatch(part)
        if match is None or match["sample"] or (match["low"] is None and count is None):
            raise InvalidRequest(f"{part!r} means other units in each layer; write numbers such as 0-11,207.")
        if match["low"] is None:
            several = range(0, count or 0, int(match["every"] or 1))
        else:
            last = int(match["high"] or match["low"])
            several = range(int(match["low"]), last + 1, int(match["step"] or 1))
        if len(numbers) + len(several) > MOST_NUMBERS:
            raise InvalidRequest(
                f"{units!r} means more than {MOST_NUMBERS:,} numbers, and so many are taken at most."
            )
        numbers.update(several)
    return sorted(numbers)


def ranges(units: Iterable[int]) -> str:
    """Ascending unit numbers as people write them, `0-11,207`: what `expand_units` takes apart."""
    runs: list[list[int]] = []
    for unit in units:
        if runs and unit == runs[-1][1] + 1:
            runs[-1][1] = unit
        else:
            runs.append([unit, unit])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)


def parse_layer_target(text: str) -> Target:
    """`LAYER/UNITS[@Y,X|@TOKEN]` as a target.

    Raises InvalidRequest that says what a target looks like.
    """
    parts = text.strip().split("/", 1)  # the name of a class may have a slash
    if len(parts) != 2 or not all(parts):
        raise InvalidRequest(f"{text!r} is not a target: write LAYER/UNITS, for example output/0-11,207.")
    return _target(parts[0], parts[1], where=text)


def parse_target(text: str) -> tuple[str, Target]:
    """`NETWORK/LAYER/UNITS[@Y,X|@TOKEN]` as a network id and a target.

    Raises InvalidRequest that says what a target looks like.
    """
    parts = text.strip().split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise InvalidRequest(
            f"{text!r} is not a target: write NETWORK/LAYER/UNITS, "
            "for example efficientnet_lite0.imagenet/output/0-11,207."
        )
    return parts[0], _target(parts[1], parts[2], where=text)


def parse_unit(text: str) -> tuple[str, str, int]:
    """`NETWORK/LAYER/UNIT` as a network id, a layer name and one unit number."""
    parts = text.strip().split("/")
    if len(parts) != 3 or not all(parts) or not re.fullmatch(rf"\d{{1,{_DIGITS}}}", parts[2]):
        raise InvalidRequest(
            f"{text!r} is not a unit: write NETWORK/LAYER/UNIT with the number of the unit, such as "
            "efficientnet_lite0.imagenet/output/207; `imago search WORD` finds units by a word."
        )
    return parts[0], parts[1], int(parts[2])


def collect(targets: Targets) -> list[Target]:
    """Targets in any accepted form: `Target`s, `"LAYER/UNITS"` texts, or a mapping layer → units."""
    if isinstance(targets, str | Target):
        targets = [targets]
    if isinstance(targets, Mapping):
        return [Target(layer, _units(layer, units)) for layer, units in targets.items()]
    return [parse_layer_target(target) if isinstance(target, str) else target for target in targets]


def _units(layer: str, units: str | int | Iterable[int]) -> str | tuple[int, ...]:
    if isinstance(units, str):
        return parse_units_or_name(units, where=f"{layer}/{units}")
    return (units,) if isinstance(units, int) else tuple(units)


def _target(layer: str, rest: str, *, where: str) -> Target:
    split = _WITH_PLACE.fullmatch(rest)
    units, place = split.groups() if split is not None else (rest, None)
    checked = parse_units_or_name(units, where=where)
    if place is None:
        return Target(layer, checked)
    match = _PLACE.fullmatch(re.sub(r"\s", "", place))
    if match is None:
        raise InvalidRequest(
            f"{where!r}: a place is @ROW,COLUMN of the layer's map, for example @3,5, or @TOKEN in a layer "
            f"of tokens, for example @7; got @{place}."
        )
    first, second = match.groups()
    if second is None:
        return Target(layer, checked, token=int(first))
    return Target(layer, checked, position=(int(first), int(second)))
