"""`NAME=VALUE` on the command line."""

import json
from typing import Any

from imago.errors import InvalidRequest


def named_value(option: str, text: str, example: str) -> tuple[str, Any]:
    """The value is read as JSON where it is JSON and is a text otherwise."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidRequest(f"{option} {text!r}: write NAME=VALUE, for example {example}.")
    try:
        return name.strip(), json.loads(value)
    except (ValueError, RecursionError):
        return name.strip(), value
