"""Lists in pages: `{data, next_cursor}` and a `Link: rel="next"` header (RFC 8288). Cursors are made by the
services.
"""

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlencode

from flask import Response, request

from api.http.rendering import json_response
from api.schemas.base import Page, PageQuery
from services.base import paging
from services.base.errors import Invalid

View = TypeVar("View")
Shown = TypeVar("Shown")


def next_path(cursor: str) -> str:
    """This request's path and query with another cursor."""
    others = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.path}?{urlencode([*others, ('cursor', cursor)])}"


def page_response(
    model: type[Page[Shown]], page: paging.Page[View], render: Callable[[View], Shown]
) -> Response:
    """The page with each entry rendered."""
    shown = model(data=[render(entry) for entry in page.data], next_cursor=page.next_cursor)
    links = {"Link": f'<{next_path(page.next_cursor)}>; rel="next"'} if page.next_cursor else {}
    return json_response(shown, headers=links)


def only_page(query: PageQuery) -> None:
    """For lists that are one page. Raises `Invalid` for a cursor: none was ever given out."""
    if query.cursor is not None:
        raise Invalid.field("/cursor", "must be left out: this list is one page")
