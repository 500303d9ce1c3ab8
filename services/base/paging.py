"""Keyset pagination, the same for every list: the cursor holds the last row's key, so page 10,000 costs what
page 1 does, and rows that are added meanwhile neither repeat nor hide others.
"""

import base64
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from services.base.database import Database
from services.base.errors import Invalid

T = TypeVar("T")
K = TypeVar("K")
Shown = TypeVar("Shown")
Key = Sequence[Any]
"""What a list is ordered by: the values of one row, texts and numbers."""
_LARGEST = 200
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list."""

    data: tuple[T, ...]
    next_cursor: str | None
    """None on the last page."""

    def map(self, show: Callable[[T], Shown]) -> "Page[Shown]":
        """The same page with `show(entry)` in place of each entry."""
        return Page(tuple(map(show, self.data)), self.next_cursor)


@dataclass(frozen=True)
class Keyset:
    """A list that is read in pages: its name, which its cursors carry, and the types of its key's parts."""

    name: str
    kinds: tuple[type, ...]

    def page(
        self,
        cursor: str | None,
        limit: int,
        read: Callable[[Key | None, int], Sequence[T]],
        key: Callable[[T], Key],
    ) -> Page[T]:
        """One page. `read(after, most)` gives the rows that follow a key, from the first for None; `key`
        is that of a row. Raises `Invalid` for a wrong cursor or limit.
        """
        return self.bounded(cursor, limit, lambda after, most: (read(after, most), None), key)

    def bounded(
        self,
        cursor: str | None,
        limit: int,
        read: Callable[[Key | None, int], tuple[Sequence[T], Key | None]],
        key: Callable[[T], Key],
    ) -> Page[T]:
        """As `page`, where `read` may stop before it has found enough: it then gives the key after which to
        go on, too."""
        rows, stopped_at = read(self._after(cursor, limit), limit + 1)
        after = key(rows[limit - 1]) if len(rows) > limit else stopped_at
        return Page(tuple(rows[:limit]), None if after is None else self.cursor_after(after))

    def sifted(
        self,
        cursor: str | None,
        limit: int,
        read: Callable[[Key | None, int], Sequence[T]],
        key: Callable[[T], Key],
        wanted: Callable[[Sequence[T]], Sequence[T]],
        looked_at: int,
    ) -> Page[T]:
        """As `page`, of those rows alone that `wanted` leaves, in their order.

        No page looks at more than about `looked_at` rows: one may be short, or empty, and have a next cursor.
        """
        after, found, seen = self._after(cursor, limit), list[T](), 0
        while True:
            rows = read(after, _LARGEST)
            found += wanted(rows)
            seen += len(rows)
            if len(found) > limit:
                return Page(tuple(found[:limit]), self.cursor_after(key(found[limit - 1])))
            if len(rows) < _LARGEST:
                return Page(tuple(found), None)
            after = key(rows[-1])
            if seen >= looked_at:
                return Page(tuple(found), self.cursor_after(after))

    def _after(self, cursor: str | None, limit: int) -> Key | None:
        if not 1 <= limit <= _LARGEST:
            raise Invalid.field("/limit", f"must be between 1 and {_LARGEST}; got {limit}")
        return None if cursor is None else self.key_in(cursor)

    def cursor_after(self, key: Key) -> str:
        """An opaque cursor after the row with this key, for this list only."""
        return base64.urlsafe_b64encode(json.dumps([self.name, *key]).encode()).decode().rstrip("=")

    def key_in(self, cursor: str) -> list[Any]:
        """The key in a cursor. Raises `Invalid` at `/cursor` for what is none of this list."""
        key: list[Any] = []
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            name, *key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            fits = name == self.name and [type(part) for part in key] == list(self.kinds) and _storable(key)
        except (ValueError, TypeError, RecursionError):
            fits = False
        if not fits:
            advice = "is not a cursor of this list; pass a next_cursor on as it was given"
            raise Invalid.field("/cursor", advice)
        return key


def streamed(
    database: Database,
    read: Callable[[Session, K, int], Sequence[T]],
    after: K,
    following: Callable[[T], K],
    *,
    at_once: int,
) -> Iterator[T]:
    """All entries after a place, read little by little in transactions of their own: memory stays flat, and
    nothing is held while whoever reads is slow.

    `read(session, after, most)` gives up to so many that follow a place; `following` is the place of one.
    """
    while True:
        with database.session() as session:
            found = read(session, after, at_once)
        yield from found
        if len(found) < at_once:
            return
        after = following(found[-1])


def all_of(
    database: Database, page: Callable[[Session, str | None, int], Page[T]], cursor: str | None
) -> Iterator[T]:
    """All entries of a list that follow a cursor, of what gives its pages by a cursor and a limit; read as
    `streamed` does, but for the first page, of which the caller is told at once what is wrong.
    """
    with database.session() as session:
        first = page(session, cursor, _LARGEST)

    def following() -> Iterator[T]:
        found = first
        yield from found.data
        while found.next_cursor is not None:
            with database.session() as session:
                found = page(session, found.next_cursor, _LARGEST)
            yield from found.data

    return following()


def page_of(
    session: Session,
    query: sa.Select[T],
    *columns: InstrumentedAttribute[Any],
    name: str,
    cursor: str | None,
    limit: int,
    descending: bool = False,
) -> Page[T]:
    """One page of the rows that `query` selects, in the order of these columns, which tell rows apart.

    `name` is the list's. Raises `Invalid` for a wrong cursor or limit.
    """
    keyset = Keyset(name, tuple(column.type.python_type for column in columns))

    def read(after: Key | None, most: int) -> Sequence[T]:
        here = query.order_by(*(column.desc() if descending else column for column in columns)).limit(most)
        if after is not None:
            place, end = sa.tuple_(*columns), sa.tuple_(*after)
            here = here.where(place < end if descending else place > end)
        return session.scalars(here).all()

    return keyset.page(cursor, limit, read, lambda row: [getattr(row, column.key) for column in columns])


def _storable(key: Key) -> bool:
    """Whether it can be the key of a row: no NUL or half a surrogate pair in a text, whole numbers of 31
    bits, others finite."""
    return all(_is_storable(part) for part in key)


def _is_storable(part: Any) -> bool:
    if isinstance(part, str):
        return not _UNSTORABLE.search(part)
    return math.isfinite(part) if isinstance(part, float) else 0 <= part < 2**31 - 1
