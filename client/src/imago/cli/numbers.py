"""Write numbers for people: 1000000, where JSON may say 1000000.0."""

import json
import re
from typing import Any


def number(value: float) -> str:
    """`8`, `0.0003`, `2e-6`, as it can be typed again."""
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return str(int(value))
    return re.sub(r"e([+-]?)0*(\d)", lambda found: f"e{found[1].replace('+', '')}{found[2]}", repr(value))


def grouped(value: float) -> str:
    """The same to read only, in thousands: `1,000,000`."""
    text = number(value)
    return f"{int(text):,}" if text.lstrip("-").isdecimal() else text


def counted(count: int, thing: str) -> str:
    """`1 picture`, `20 pictures`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def as_value(value: Any) -> str:
    """Any JSON value, as it can be typed again; its numbers as people write them."""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list):
        return f"[{', '.join(map(as_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
