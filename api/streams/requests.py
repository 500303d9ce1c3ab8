"""Requests for streams of events."""

from pydantic import Field

from api.schemas.base import HeaderModel, RequestModel
from api.streams.event import ID_PATTERN


class EventsHeaders(HeaderModel):
    """From where on, as browsers say it."""

    last_event_id: str | None = Field(
        None,
        alias="Last-Event-ID",
        pattern=ID_PATTERN,
        description="Id of the last event that was received: what has happened since is told first.",
    )


class EventsQuery(RequestModel):
    """From where on, for clients that cannot send the header."""

    last_event_id: str | None = Field(
        None,
        pattern=ID_PATTERN,
        description="As the header, which goes first; `0` for everything from the beginning.",
    )
