"""Pages of a list by keyset: the cursor holds the last row's key, so page 10,000 costs what page 1 does."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from services.base.errors import Invalid

T = TypeVar("T")
_LARGEST = 200
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Page(Generic[T]):
    """`next_cursor` is None on the last page."""

    data: tuple[T, ...]
    next_cursor: str | None


def limit_of(limit: int) -> int:
    """The limit itself. Raises `Invalid` outside 1..200."""
    if not 1 <= limit <= _LARGEST:
        raise Invalid.field("/limit", f"must be between 1 and {_LARGEST}; got {limit}")
    return limit


def encode_cursor(list_name: str, key: Sequence[str | int]) -> str:
    """An opaque cursor after the row with this key, for that list only."""
    return base64.urlsafe_b64encode(json.dumps([list_name, *key]).encode()).decode().rstrip("=")


def decode_cursor(list_name: str, cursor: str, kinds: tuple[type, ...]) -> list[Any]:
    """The key in a cursor, of these types. Raises `Invalid` at `/cursor` for anything else."""
    key: list[Any] = []
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        name, *key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        fits = name == list_name and [type(part) for part in key] == list(kinds) and _storable(key)
    except (ValueError, TypeError, RecursionError):
        fits = False
    if not fits:
        raise Invalid.field("/cursor", "is not a cursor of this list; pass a next_cursor on as it was given")
    return key


def _storable(key: Sequence[str | int]) -> bool:
    """Whether it can be the key of a row: no NUL or half a surrogate pair in a text, numbers of 31 bits."""
    return all(
        not _UNSTORABLE.search(part) if isinstance(part, str) else 0 <= part < 2**31 - 1 for part in key
    )
