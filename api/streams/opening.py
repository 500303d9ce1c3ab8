"""What a view does with a request for a stream: who asks, from where on, and what has happened since."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus

import sqlalchemy as sa
from flask import request
from sqlalchemy.orm import Session

from api.auth import reader, session_token
from api.http.caching import SECRET
from api.http.places import Places
from api.operations.answers import Document
from api.operations.operation import Responses
from api.streams.event import BEGINNING, MEDIA_TYPE, RETRY, EventId
from api.streams.requests import EventsHeaders, EventsQuery
from api.streams.stream import OPENED, PLACES, Opened
from api.streams.subjects import KINDS, KindName
from api.streams.telling import events, state_of
from services.access.browser_sessions import digest_of
from services.jobs import ended_items
from services.jobs.ended_items import OVERLAP, EndedItem

STREAM: Responses = {
    200: {
        "description": "Events, until it has ended, the client leaves or the server stops.",
        "content": {
            MEDIA_TYPE: {
                "schema": {"type": "string"},
                "example": 'event: progress\nid: 1795867200000000-6f1c2e7b\ndata: {"state":"running"}\n\n',
            }
        },
    },
    204: {"description": "It has ended, and the event of `Last-Event-ID` has told so: do not come again."},
}
"""The responses of a view that opens a stream."""
_HEADERS = {"X-Accel-Buffering": "no"}
"""A proxy that would collect an answer before it passes it on is asked not to."""


def open_stream(
    session: Session, kind: KindName, id: str, query: EventsQuery, header: EventsHeaders
) -> Document:
    """The beginning of a stream, which the server around the application goes on with.

    204 for whoever has been told the end. Raises `NotFound` as reading the subject does, or `Problem` where
    too many streams are open.
    """
    # The header first: it is what a browser sends when it comes again to an address with a parameter.
    named = header.last_event_id or query.last_event_id
    since = EventId.parse(named) if named else None
    by = reader()
    at: datetime = session.execute(sa.select(sa.func.now())).scalar_one()
    snapshot = KINDS[kind].get(session, id, by)
    if since and snapshot.ended and since.fingerprint == state_of(snapshot):
        return Document(b"", MEDIA_TYPE, SECRET, HTTPStatus.NO_CONTENT, _HEADERS)
    items = _items(session, id, since, at) if kind == "job" else []
    goes_on = since is not None and len(items) == ended_items.PAGE
    told = list(events(snapshot, items if since else [], at, goes_on=goes_on))
    is_to_go_on = goes_on or not snapshot.ended
    places: Places | None = request.environ.get(PLACES)
    if is_to_go_on and places is not None and request.method == "GET":
        token = session_token()
        client = by.key_id or request.remote_addr or ""
        places.take(client)
        request.environ[OPENED] = Opened(
            (kind, id),
            by,
            client,
            EventId(items[-1].finished_at, digest=items[-1].digest)
            if goes_on
            else EventId(at, fingerprint=state_of(snapshot)),
            at,
            {item.digest: item.finished_at for item in items if item.finished_at > at - OVERLAP},
            goes_on,
            None if token is None else digest_of(token),
        )
    return Document(RETRY + b"".join(told), MEDIA_TYPE, SECRET, headers=_HEADERS)


def _items(session: Session, job: str, since: EventId | None, at: datetime) -> Sequence[EndedItem]:
    """Those to tell; without an id, those that ended just before, which are not to be told."""
    if since is None:
        return ended_items.of_job(session, job, at - OVERLAP)
    if since.digest is not None:
        return ended_items.of_job(session, job, since.at, since.digest)
    # What was committed after it had been read may carry an earlier time.
    return ended_items.of_job(session, job, max(since.at - OVERLAP, BEGINNING))
