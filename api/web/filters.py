"""How templates say things: durations, places, states, why there is no picture."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from flask import Blueprint
from markupsafe import Markup

from api.schemas.estimates import EtaRange
from api.schemas.images.maps import MapLabel
from api.schemas.networks import Look
from api.schemas.visualizations import JobItem
from services.base.states import State
from services.catalog.looks import UnderWay
from services.pictures.best import NO_ACTIVATION

_ABOUT = 1.7
"""Bounds that are no further apart are one figure to people."""
_LONGEST_UNITS = 60
_WORDS: Mapping[str, str] = {State.LEASED: "being computed", State.QUEUED: "waiting"}
_UNITS = (("s", 1, 100), ("min", 60, 100 * 60), ("h", 3600, 48 * 3600))


def with_code(text: str) -> Markup:
    """What the contract sets between backticks, as code."""
    pieces = re.split(r"`([^`]+)`", text)
    return Markup().join(
        Markup("<code>{}</code>").format(piece) if number % 2 else piece
        for number, piece in enumerate(pieces)
    )


def explained(item: JobItem) -> str:
    """Why there is no picture, in few words."""
    match item.state:
        case State.FAILED:
            return item.error.message if item.error else "failed"
        case State.UNREACHABLE:
            return "unreachable: nothing that is done to a picture moves this unit"
        case _:
            return in_words(item.state)


def in_words(state: str) -> str:
    """A state as people call it."""
    return _WORDS.get(str(state), str(state))


def at_place(shown: Any) -> str:
    """The place of a target or an item as targets are written, `@3,5` or `@7`; nothing for the usual one."""
    position, token = (
        (shown.get("position"), shown.get("token"))
        if isinstance(shown, Mapping)
        else (shown.position, shown.token)
    )
    if position is not None:
        return f"@{position[0]},{position[1]}"
    return "" if token is None else f"@{token}"


def named_units(units: str | Sequence[int]) -> str:
    """Units as a target has them, in short."""
    text = units if isinstance(units, str) else ",".join(map(str, units))
    return text if len(text) <= _LONGEST_UNITS else f"{text[:_LONGEST_UNITS]}…"


def units_in_words(units: str | Sequence[int]) -> str:
    """Units for people: `every 7th` for those that a target has as `::7`, others as `named_units` does."""
    step = re.fullmatch(r"0?::([1-9][0-9]*)", units) if isinstance(units, str) else None
    return named_units(units) if step is None else f"every {_nth(int(step[1]))}"


def _nth(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'th')}"


def duration(seconds: float) -> str:
    """As people say it: 45 s, 12 min, 3 h 20 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class Forecast(Protocol):
    """What tells the time to an end: of a job, an atlas, an estimate, or all that waits."""

    @property
    def eta_seconds(self) -> float | None: ...

    @property
    def eta_range(self) -> EtaRange | None: ...


def time_left(forecast: Forecast) -> str:
    """What is known of the time to the end: `about 4 min`, `4 to 12 min` where it is not known well, `not
    known yet` where nothing tells it."""
    likely, between = forecast.eta_seconds, forecast.eta_range
    if likely is None:
        return "not known yet"
    low, high = (between.low, between.high) if between else (likely, likely)
    if round(high) == 0:
        return "a moment"
    if high <= _ABOUT * low or round(high) <= 1:
        return f"about {duration(likely)}"
    unit, size = next(((unit, size) for unit, size, most in _UNITS if high < most), ("days", 86_400))
    least, most = int(low / size), math.ceil(high / size)
    return f"{least} to {most} {unit}" if least else f"up to {most} {unit}"


def looked(look: Look | UnderWay | None) -> str:
    """What goes before the first pictures of a network: how far the look at it is; nothing without one."""
    if look is None:
        return ""
    return f"A worker first looks at the network: {count(look.seen)} of {count(look.codes)} pictures seen."


def moment(when: datetime) -> Markup:
    """A time, to the minute, in UTC."""
    return Markup('<time datetime="{}">{} UTC</time>').format(
        when.isoformat(), when.strftime("%Y-%m-%d %H:%M")
    )


def count(number: int) -> str:
    """With thin spaces between thousands, so that large ones can be read: 68 968."""
    return f"{number:,}".replace(",", "\u202f")


def first_name(label: str) -> str:
    """Of a label that lists several names, such as `maraca, shaker`, the first. A class without a name
    has its number for one: `class 17`."""
    first = label.partition(",")[0]
    return f"class {first}" if first.isdecimal() else first


def by_label(regions: Sequence[MapLabel]) -> list[dict[str, Any]]:
    """Regions of a map as a list of their labels, those of most units first: {label, units, of} of all
    regions that are called so."""
    found: dict[str, dict[str, Any]] = {}
    for region in regions:
        same = found.setdefault(region.label, {"label": region.label, "units": 0, "of": 0})
        same["units"] += region.units
        same["of"] += region.of
    return sorted(found.values(), key=lambda same: (-same["units"], same["label"]))


def figure(value: float) -> str:
    """Three digits that matter, so that figures of one size have as many decimals: 41.2, 20.0, 0.00310. Of
    large ones the whole number, as `count` has it: 68 968. What is so near to nothing that its digits tell
    nothing is ≈ 0; never a power of ten. As `js/figures.js` has it."""
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if size < NO_ACTIVATION:
        return "≈\u00a00" if value else "0"
    return f"{value:#.3g}".rstrip(".") if size < 999.5 else count(round(value))


def percent(share: float) -> str:
    """A share of 1 as people write it: 51 %, 99.9 %, and never 100 % for what is not all."""
    whole = 100 * share
    digits = 0 if 1 <= whole <= 99 or share in (0, 1) else 1
    rounded = f"{whole:.{digits}f}"
    if share < 1 and rounded in ("100", "100.0"):
        rounded = "> 99.9"
    if share > 0 and float(rounded.lstrip("> ")) == 0:
        rounded = "< 0.1"
    return f"{rounded}\u00a0%"


def size_of(count_of_bytes: int) -> str:
    """Bytes as people say them: 5.7 MB."""
    value = float(count_of_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g}\u00a0{unit}" if unit != "bytes" else f"{count_of_bytes}\u00a0bytes"
        value /= 1000
    return f"{value:.3g}\u00a0TB"


_FILTERS = (
    with_code,
    explained,
    in_words,
    at_place,
    named_units,
    units_in_words,
    duration,
    time_left,
    looked,
    moment,
    count,
    first_name,
    by_label,
    figure,
    percent,
)


def register(blueprint: Blueprint) -> None:
    """Let templates use them, each under its name."""
    for filter in (*_FILTERS, size_of):
        blueprint.add_app_template_filter(filter)
