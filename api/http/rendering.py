"""Representations as JSON responses."""

from collections.abc import Mapping
from http import HTTPStatus

from flask import Response
from pydantic import BaseModel


def json_response(representation: BaseModel, status: HTTPStatus, headers: Mapping[str, str]) -> Response:
    """The representation as JSON."""
    body = representation.model_dump_json(by_alias=True)
    return Response(body, status=status, mimetype="application/json", headers=dict(headers))


def removed() -> Response:
    """The answer to a DELETE: there is nothing left to show."""
    return Response(status=HTTPStatus.NO_CONTENT)
