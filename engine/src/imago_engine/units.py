"""Selections of a layer's units, in words that mean something for layers of any size.

| words | meaning |
|---|---|
| `all` | every unit |
| `207` | one |
| `0-11` | a range, both ends included |
| `::4` | every fourth: 0, 4, 8, … |
| `0-99:4` | every fourth of a range: 0, 4, …, 96 |
| `sample:64@7` | 64 drawn at random with seed 7 (`sample:64`: seed 0), or all of a layer that has fewer |

Commas join them: `0-11,207,300-399:10`. A list of numbers is a selection too.
"""

import heapq
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress

_PART = re.compile(
    r"""\s*(?:
        (?P<all>all)
        | ::\s*(?P<every>[0-9]{1,9})
        | (?P<low>[0-9]{1,9})\s*(?:-\s*(?P<high>[0-9]{1,9})\s*(?::\s*(?P<step>[0-9]{1,9}))?)?
        | sample:\s*(?P<sampled>[0-9]{1,9})\s*(?:@\s*(?P<seed>[0-9]{1,9}))?
    )\s*""",
    re.VERBOSE,
)
_LONGEST = 20_000
"""Characters of a text, and entries of a list, at most."""
_MOST_STEPPED = 100
"""Ranges with a step in a text at most."""
_FORMS = '"all", ranges such as "0-11,207", every n-th as in "::4" or "0-99:4", or "sample:64@7"'


class UnitsError(ValueError):
    """A selection that cannot be read, or a unit that the layer does not have; the message says which."""


@dataclass(frozen=True)
class _Range:
    """`low`, `low + step`, … up to `high`, or to the layer's last unit where that is None."""

    low: int
    high: int | None
    step: int = 1


@dataclass(frozen=True)
class UnitWords:
    """A selection that was read, for layers of any size."""

    ranges: tuple[_Range, ...]
    sample: tuple[int, int] | None = None
    """How many are drawn at random, and the seed."""

    def of(self, count: int) -> Sequence[int]:
        """Those that a layer of `count` units has of the units meant, ascending, each once."""
        chosen = bytearray(count)
        end = 0
        for part in sorted(self.ranges, key=lambda part: (part.step != 1, part.low)):
            # Plain ranges come first, in order: none of their units is marked twice.
            low = max(part.low, end) if part.step == 1 else part.low
            until = count if part.high is None else min(part.high + 1, count)
            marked = range(low, until, part.step)
            chosen[low : max(low, until) : part.step] = b"\1" * len(marked)
            end = max(end, until) if part.step == 1 else end
        if self.sample is not None:
            for unit in _sampled(count, *self.sample):
                chosen[unit] = 1
        return list(compress(range(count), chosen))

    @property
    def progression(self) -> tuple[int, int] | None:
        """The first one and the step, where the units meant are one range; None for any others."""
        if self.sample is not None or len(self.ranges) != 1:
            return None
        return self.ranges[0].low, self.ranges[0].step

    def beyond(self, count: int) -> int | None:
        """A unit that is asked for by its number and that a layer of `count` units does not have."""
        ends = (part.high for part in self.ranges if part.high is not None)
        return next((high for high in ends if high >= count), None)


def read_units(units: str | Sequence[int]) -> UnitWords:
    """What the words mean. Raises `UnitsError` for what cannot be read."""
    if isinstance(units, str):
        return _words(units)
    if not units:
        raise UnitsError(f"names no unit; expected {_FORMS}, or a list")
    if len(units) > _LONGEST:
        raise UnitsError(f'names {len(units)} units one by one; use ranges such as "0-99"')
    if min(units) < 0:
        raise UnitsError(f"counts from 0; got {min(units)}")
    return UnitWords(tuple(_Range(unit, unit) for unit in dict.fromkeys(units)))


def parse_units(units: str | Sequence[int], *, layer: str, count: int) -> Sequence[int]:
    """The units meant of a layer, ascending and without repetition, all in 0..count-1.

    Raises `UnitsError`, for a unit too that is asked for by its number and that the layer does not have. No
    text makes this slow.
    """
    words = read_units(units)
    wrong = words.beyond(count)
    if wrong is not None:
        raise UnitsError(f"layer {layer!r} has {count} units (0–{count - 1}); got {wrong}")
    found = words.of(count)
    if not found:
        raise UnitsError(f"names no unit of layer {layer!r}; expected {_FORMS}, or a list")
    return found


def written(units: Iterable[int]) -> str:
    """Ascending units as ranges: what `parse_units` takes apart."""
    runs: list[list[int]] = []
    for unit in units:
        if runs and unit == runs[-1][1] + 1:
            runs[-1][1] = unit
        else:
            runs.append([unit, unit])
    return ",".join(f"{low}-{high}" if high > low else str(low) for low, high in runs)


def _words(text: str) -> UnitWords:
    if len(text) > _LONGEST:
        raise UnitsError(f"has {len(text)} characters; at most {_LONGEST} are read")
    ranges: list[_Range] = []
    samples: list[tuple[int, int]] = []
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise UnitsError(f"expected {_FORMS}; cannot read {part[:40]!r}")
        if match["sampled"] is not None:
            samples.append((_counted(match["sampled"], part), int(match["seed"] or 0)))
        elif match["low"] is None:
            ranges.append(_Range(0, None, 1 if match["all"] else _counted(match["every"], part)))
        else:
            low, high = int(match["low"]), int(match["high"] or match["low"])
            if high < low:
                raise UnitsError(f"the range {part.strip()!r} runs backwards; expected {high}-{low}")
            ranges.append(_Range(low, high, _counted(match["step"] or "1", part)))
    if len(samples) > 1:
        raise UnitsError("draws more than one sample; expected one at most, of as many as are wanted")
    unlike = tuple(dict.fromkeys(ranges))
    stepped = sum(part.step != 1 for part in unlike)
    if stepped > _MOST_STEPPED:
        raise UnitsError(f"has {stepped} ranges with a step; at most {_MOST_STEPPED} are read")
    return UnitWords(unlike, samples[0] if samples else None)


def _counted(number: str, part: str) -> int:
    if int(number) == 0:
        raise UnitsError(f"{part.strip()!r} counts by 0; expected 1 or more")
    return int(number)


def _sampled(count: int, most: int, seed: int) -> Sequence[int]:
    """By their hashes with the seed: a smaller sample of the same seed is a part of a larger one, also where
    the layer has more units, and no release of Python draws otherwise."""
    if most >= count:
        return range(count)

    def place(unit: int) -> bytes:
        return blake2b(f"{seed}:{unit}".encode(), digest_size=16).digest()

    return heapq.nsmallest(most, range(count), key=place)
