"""Refuse addresses that are not UTF-8 or contain NUL.

Flask puts U+FFFD in place of bytes that are not UTF-8, so that two addresses would be one name.
"""

from urllib.parse import unquote_to_bytes

from flask import Flask, request

from api.problems import problem_types
from api.problems.problems import Problem, fields_problem
from services.base.errors import FieldError, pointer

_READABLE = "must be UTF-8 without U+0000"


def _check() -> None:
    # WSGI gives the bytes of the path as Latin-1.
    if not _is_readable(request.environ.get("PATH_INFO", "").encode("latin-1")):
        raise Problem(problem_types.NOT_FOUND, f"Nothing is served here: each name {_READABLE}.")
    errors = []
    for pair in request.query_string.split(b"&"):
        name, _, value = (unquote_to_bytes(piece) for piece in pair.partition(b"="))
        if not (_is_readable(name) and _is_readable(value)):
            errors.append(FieldError(pointer(name.decode(errors="replace")), _READABLE))
    if errors:
        raise fields_problem("query", errors)


def _is_readable(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in text


def register(app: Flask) -> None:
    """Check the address of every request."""
    app.before_request(_check)
