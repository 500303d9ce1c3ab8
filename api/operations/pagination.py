"""Lists in pages: `{data, next_cursor}` and a `Link: rel="next"` header (RFC 8288). Cursors are made by the
services.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.context import context
from api.http.negotiation import prefers
from api.http.rendering import LINES
from api.operations.answers import Answer, Lines
from api.schemas.base import PageQuery
from services.base.errors import Invalid
from services.base.paging import Page, all_of

T = TypeVar("T")
Shown = TypeVar("Shown", bound=BaseModel)


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


def page_or_lines(
    read: Callable[[Session, str | None, int], Page[T]], shown: Callable[[T], Shown], query: PageQuery
) -> Page[Shown] | Lines:
    """A page of what `read` gives by a cursor and a limit, or all that follows as JSON lines, whichever the
    request prefers; `shown` makes representations of entries.
    """
    database = context().database
    if prefers(LINES, "application/json"):
        return Lines(map(shown, all_of(database, read, query.cursor)))
    with database.session() as session:
        return read(session, query.cursor, query.limit).map(shown)


def only_page(entries: Iterable[T], query: PageQuery | None = None) -> Page[T]:
    """All entries of a list that is one page. Raises `Invalid` for a cursor: none was ever given out."""
    if query is not None and query.cursor is not None:
        raise Invalid.field("/cursor", "must be left out: this list is one page")
    return Page(tuple(entries), None)
