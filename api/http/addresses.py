"""Refuse addresses that are not UTF-8 or contain NUL, and lead from a page's address with a slash at its end
to the one without.

Flask puts U+FFFD in place of bytes that are not UTF-8, so that two addresses would be one name.
"""

from http import HTTPStatus
from urllib.parse import quote, unquote_to_bytes

from flask import Flask, current_app, redirect, request
from werkzeug.wrappers import Response

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


def _without_slash() -> Response | None:
    """To the page, where the address of one has been given with a slash too many. Of what is under /v1 each
    address is its only one."""
    path = request.path.rstrip("/")
    if request.url_rule is not None or path in ("", request.path) or f"{path}/".startswith("/v1/"):
        return None
    known = current_app.create_url_adapter(request)
    if known is None or not known.allowed_methods(path):
        return None
    query = request.query_string.decode("latin-1")
    # 308: a form that is sent to it stays one.
    to = quote(path, safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else "")
    return redirect(to, HTTPStatus.PERMANENT_REDIRECT)


def register(app: Flask) -> None:
    """Check the address of every request."""
    app.before_request(_check)
    app.before_request(_without_slash)
