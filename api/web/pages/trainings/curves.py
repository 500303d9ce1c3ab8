"""The log of a training as lines of charts: losses and errors on held-out pictures, over pictures seen."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

POINTS = 160
"""Of a chart: more than it has pixels would be no clearer and much heavier."""
_MOST_READ = 2_000
"""Lines of a log that are read, of a long one at least half as many: some for each point."""
_HELD_OUT = b'"held_out"'
_NOT_A_LOSS = ("pictures", "time", "rate", "held_out")


@dataclass(frozen=True)
class Curve:
    """A figure over the pictures that were seen, at even distances from the first to the last of them."""

    name: str
    values: Sequence[float]
    first: int
    last: int


@dataclass(frozen=True)
class Curves:
    """What a log tells: the losses that are trained on, and the errors that nothing was trained on."""

    losses: Sequence[Curve] = ()
    held_out: Sequence[Curve] = ()


def read(lines: Iterable[bytes]) -> Curves:
    """The curves of a log, one JSON object a line; lines that are none are passed over.

    Of a long log one of every so many lines, from its first to its last, and all that say what nothing was
    trained on, of which there are few: a chart shows no more.
    """
    losses: dict[str, list[tuple[int, float]]] = defaultdict(list)
    held_out: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for line in _some(lines):
        entry = _entry(line)
        pictures = entry.get("pictures")
        if not isinstance(pictures, int):
            continue
        measured = entry.get("held_out")
        _note(held_out, pictures, measured if isinstance(measured, Mapping) else {})
        _note(losses, pictures, {name: one for name, one in entry.items() if name not in _NOT_A_LOSS})
    return Curves(_drawn(losses), _drawn(held_out))


def _some(lines: Iterable[bytes]) -> Sequence[bytes]:
    """Those that are read, found in one pass: how many there are is known at its end alone."""
    kept: dict[int, bytes] = {}
    regular: list[int] = []
    each, number, line = 1, -1, b""
    for number, line in enumerate(lines):
        if _HELD_OUT in line:
            kept[number] = line
        elif number % each == 0:
            kept[number] = line
            regular.append(number)
        if len(regular) > _MOST_READ:
            each *= 2
            for left_out in [one for one in regular if one % each]:
                del kept[left_out]
            regular = [one for one in regular if not one % each]
    if number >= 0:
        kept[number] = line
    return list(kept.values())


def _entry(line: bytes) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _note(into: dict[str, list[tuple[int, float]]], pictures: int, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"):
            into[name].append((pictures, float(value)))


def _drawn(found: Mapping[str, list[tuple[int, float]]]) -> Sequence[Curve]:
    return [_even(name, sorted(points)) for name, points in found.items() if len(points) > 1]


def _even(name: str, points: Sequence[tuple[int, float]]) -> Curve:
    """Means of `POINTS` stretches of equal length; a stretch in which nothing was said has the one before."""
    first, last = points[0][0], points[-1][0]
    stretches: list[list[float]] = [[] for _ in range(min(POINTS, len(points)))]
    span = max(last - first, 1)
    for pictures, value in points:
        stretches[min((pictures - first) * len(stretches) // span, len(stretches) - 1)].append(value)
    values: list[float] = []
    for stretch in stretches:
        values.append(sum(stretch) / len(stretch) if stretch else values[-1])
    return Curve(name, values, first, last)
