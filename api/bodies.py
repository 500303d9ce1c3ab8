"""Whether a request's body can be read at all: its type, its size, its JSON. What is in it is for the
models.
"""

import inspect
import json
from typing import get_type_hints

from flask import Flask, current_app, request

from api import problem_types
from api.problems import Problem

LIMIT = 1 << 20
"""Bytes. The largest request names 64 targets; units can be given as ranges."""


def _check() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or request.method not in ("POST", "PUT", "PATCH"):
        return
    if "body" not in get_type_hints(inspect.unwrap(view)):
        return
    if request.mimetype != "application/json":
        sent = repr(request.mimetype) if request.mimetype else "no type"
        raise Problem(
            problem_types.UNSUPPORTED_MEDIA_TYPE,
            f"The body must be sent as application/json, not as {sent}.",
            headers={"Accept-Post": "application/json"},
        )
    try:
        json.loads(request.get_data(), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise Problem(problem_types.MALFORMED, "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Problem(problem_types.MALFORMED, f"The body is not JSON: {error.msg} at {where}.") from None
    except RecursionError:
        raise Problem(problem_types.MALFORMED, "The body is nested too deeply.") from None


def _refuse_constant(name: str) -> None:
    """Python's reader takes NaN and Infinity, which JSON does not have and no field can mean."""
    raise Problem(problem_types.MALFORMED, f"The body is not JSON: {name} is not a JSON value.")


def register(app: Flask) -> None:
    app.config["MAX_CONTENT_LENGTH"] = LIMIT
    app.before_request(_check)
