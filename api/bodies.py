"""Whether a request can be read at all: the type, size and JSON of its body, and that its texts are texts
that a database can hold. What they say is for the models.
"""

import json
from collections.abc import Iterator
from typing import Any

from flask import Flask, request

from api import problem_types
from api.problems import Problem, fields_problem
from services.errors import FieldError, pointer

LIMIT = 1 << 20
"""Bytes. The largest request names 64 targets; units can be given as ranges."""


def _check_path() -> None:
    if any("\0" in value for value in (request.view_args or {}).values() if isinstance(value, str)):
        raise Problem(problem_types.NOT_FOUND, "No name contains U+0000.")


def read() -> tuple[bytes, Any]:
    """The body of the request, as it was sent and as the JSON value that it is. Raises `Problem`."""
    if request.mimetype != "application/json":
        sent = repr(request.mimetype) if request.mimetype else "no type"
        raise Problem(
            problem_types.UNSUPPORTED_MEDIA_TYPE,
            f"The body must be sent as application/json, not as {sent}.",
            headers={"Accept-Post": "application/json"},
        )
    text = request.get_data()
    try:
        body = json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise Problem(problem_types.MALFORMED, "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Problem(problem_types.MALFORMED, f"The body is not JSON: {error.msg} at {where}.") from None
    except RecursionError:
        raise Problem(problem_types.MALFORMED, "The body is nested too deeply.") from None
    except ValueError:
        raise Problem(problem_types.MALFORMED, "The body has a number of thousands of digits.") from None
    errors = [
        FieldError(where, "must not contain U+0000 or half of a surrogate pair")
        for where in _unstorable(body)
    ]
    if errors:
        raise fields_problem("body", errors)
    return text, body


def _refuse_constant(name: str) -> None:
    """Python's reader takes NaN and Infinity, which JSON does not have and no field can mean."""
    raise Problem(problem_types.MALFORMED, f"The body is not JSON: {name} is not a JSON value.")


def _unstorable(value: Any, *place: str | int) -> Iterator[str]:
    """Where JSON's escapes make a text that is not Unicode, or that PostgreSQL cannot hold."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _unstorable(name, *place)
            yield from _unstorable(member, *place, name)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _unstorable(entry, *place, index)
    elif isinstance(value, str) and ("\0" in value or value.encode(errors="replace").decode() != value):
        yield pointer(*(str(step).encode(errors="replace").decode() for step in place))


def register(app: Flask) -> None:
    app.config["MAX_CONTENT_LENGTH"] = LIMIT
    app.before_request(_check_path)
