"""Representations as JSON responses."""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from itertools import islice

from flask import Response
from pydantic import BaseModel


def json_response(representation: BaseModel, status: HTTPStatus, headers: Mapping[str, str]) -> Response:
    """The representation as JSON."""
    body = representation.model_dump_json(by_alias=True)
    return Response(body, status=status, mimetype="application/json", headers=dict(headers))


LINES = "application/x-ndjson"
_LINES_AT_ONCE = 100


def lines_response(entries: Iterable[BaseModel], headers: Mapping[str, str]) -> Response:
    """Each entry as a line of JSON, some at a time."""

    def pieces() -> Iterator[bytes]:
        lines = (f"{entry.model_dump_json(by_alias=True)}\n" for entry in entries)
        while some := list(islice(lines, _LINES_AT_ONCE)):
            yield "".join(some).encode()

    return Response(pieces(), mimetype=LINES, headers=dict(headers))


def removed() -> Response:
    """The answer to a DELETE: there is nothing left to show."""
    return Response(status=HTTPStatus.NO_CONTENT)
