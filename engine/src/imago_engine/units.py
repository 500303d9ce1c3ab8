"""Selections of a layer's units: `"0-11,207"`, `[0, 5, 9]` or `"all"`."""

import re
from collections.abc import Sequence

_PART = re.compile(r" *([0-9]{1,9}) *(?:- *([0-9]{1,9}) *)?")
_LONGEST = 20_000
"""Characters of a text, and entries of a list, at most."""


class UnitsError(ValueError):
    """A selection that cannot be read, or a unit that the layer does not have; the message says which."""


def parse_units(units: str | Sequence[int], *, layer: str, count: int) -> Sequence[int]:
    """The units meant, ascending and without repetition, all in 0..count-1.

    Raises `UnitsError`. Ranges are checked and merged before they are expanded, so that no text makes this
    slow.
    """
    if isinstance(units, str):
        ranges = _ranges(units, count)
    else:
        ranges = [(unit, unit) for unit in units]
    if not ranges:
        raise UnitsError('names no unit; expected "all", ranges such as "0-11,207", or a list')
    if len(ranges) > _LONGEST:
        raise UnitsError(f'names {len(ranges)} units one by one; use ranges such as "0-{count - 1}"')
    for low, high in ranges:
        wrong = high if high >= count else low if low < 0 else None
        if wrong is not None:
            raise UnitsError(f"layer {layer!r} has {count} units (0–{count - 1}); got {wrong}")
    return _expand(ranges)


def _expand(ranges: Sequence[tuple[int, int]]) -> list[int]:
    found: list[int] = []
    for low, high in sorted(ranges):
        following = max(low, found[-1] + 1) if found else low
        found.extend(range(following, high + 1))
    return found


def _ranges(text: str, count: int) -> list[tuple[int, int]]:
    if len(text) > _LONGEST:
        raise UnitsError(f"has {len(text)} characters; at most {_LONGEST} are read")
    if text.strip() == "all":
        return [(0, count - 1)]
    ranges = []
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise UnitsError(f'expected "all" or ranges such as "0-11,207"; cannot read {part[:40]!r}')
        low = int(match[1])
        high = int(match[2]) if match[2] is not None else low
        if high < low:
            raise UnitsError(f"the range {part.strip()!r} runs backwards; expected {high}-{low}")
        ranges.append((low, high))
    return ranges
