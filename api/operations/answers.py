"""What views return: a model, a page of models, an `Answer` with more to say, bytes of the store, nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from api.http.caching import Freshness
from api.http.objects import StoredObject
from api.http.retry_after import header
from api.operations.download import Download
from services.base.paging import Page
from services.base.states import Lane


@dataclass(frozen=True)
class Answer:
    """A representation with a status or headers of its own."""

    shown: BaseModel
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    freshness: Freshness | None = None
    """If it is not the one that the operation declares."""
    ring: Lane | None = None
    """The lane whose workers are told, once the transaction is committed, that there is something to do."""


@dataclass(frozen=True)
class Lines:
    """Entries of a list one after the other, a JSON object a line: made while they are sent, so that a list
    may be of any length. What makes them opens transactions of its own. One that breaks off ends the
    connection, so that nobody takes a part for the whole."""

    entries: Iterable[BaseModel]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """Bytes of another media type than JSON, small enough to be made at once; or a redirect without any."""

    body: bytes
    media_type: str
    """With its parameters."""
    freshness: Freshness
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


Result = BaseModel | Page[Any] | Answer | Document | Download | Lines | StoredObject | None


def accepted(
    shown: BaseModel,
    retry_after: int | None,
    location: str | None = None,
    *,
    replayed: bool = False,
    ring: Lane | None = None,
) -> Answer:
    """What came of a request: 200 for what has ended, 202 with `Retry-After` for what goes on.

    `retry_after` is None for what has ended. `location`: where something new can be found. `replayed`: it was
    made by an earlier request under the same idempotency key. `ring`: as in `Answer`.
    """
    headers = header(retry_after)
    if location is not None:
        headers["Location"] = location
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Answer(shown, HTTPStatus.OK if retry_after is None else HTTPStatus.ACCEPTED, headers, ring=ring)
