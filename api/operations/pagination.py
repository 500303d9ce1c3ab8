"""Lists in pages: `{data, next_cursor}` and a `Link: rel="next"` header (RFC 8288). Cursors are made by the
services.
"""

from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request
from pydantic import BaseModel

from api.operations.answers import Answer
from api.schemas.base import PageQuery
from services.base.errors import Invalid
from services.base.paging import Page

T = TypeVar("T")


def next_path(cursor: str) -> str:
    """This request's path and query with another cursor."""
    others = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.path}?{urlencode([*others, ('cursor', cursor)])}"


def shown_page(model: type[BaseModel], page: Page[Any], **more: Any) -> Answer:
    """A page of representations as the model of a page, with the link to the next. `more`: other members of
    the model.
    """
    links = {"Link": f'<{next_path(page.next_cursor)}>; rel="next"'} if page.next_cursor else {}
    return Answer(model(data=list(page.data), next_cursor=page.next_cursor, **more), headers=links)


def only_page(entries: Iterable[T], query: PageQuery | None = None) -> Page[T]:
    """All entries of a list that is one page. Raises `Invalid` for a cursor: none was ever given out."""
    if query is not None and query.cursor is not None:
        raise Invalid.field("/cursor", "must be left out: this list is one page")
    return Page(tuple(entries), None)
