"""One open stream: what is still to be sent of it, bounded, and when it is to end."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

from api.edge import limits
from api.streams.event import HEARTBEAT, EventId
from api.streams.subjects import KindName
from services.access.keys import Principal

Key = tuple[KindName, str]
"""A subject: its kind and id."""
OPENED = "imago.stream"
"""Where the WSGI environment holds what a view has opened."""
PLACES = "imago.streams"
"""Where it holds the places for streams; nothing where the server sends none."""


@dataclass(frozen=True)
class Opened:
    """A stream that a view has granted; its first events are the answer's body.

    `last` is where that ended; `known` are the items, by digest, that were told or ended just before the
    stream began, each with the time of its end. `goes_on`: older items are still to be told.
    `browser_session` is the digest of the session whose cookie came with the request, None where none did.
    """

    key: Key
    by: Principal
    client: str
    last: EventId
    at: datetime
    known: dict[str, datetime] = field(default_factory=dict)
    goes_on: bool = False
    browser_session: str | None = None


class Stream:
    """Belongs to one event loop."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._news = asyncio.Event()

    @property
    def key(self) -> Key:
        """What it tells of."""
        return self.opened.key

    def put(self, piece: bytes) -> None:
        """Have something sent. A stream whose client does not read ends instead: it holds only so much."""
        if self._ended:
            return
        if self._size + len(piece) > limits.STREAM_BYTES and self._waiting:
            self._waiting.clear()
            self.end()
            return
        self._waiting.append(piece)
        self._size += len(piece)
        self._news.set()

    def end(self) -> None:
        """Let it end once everything is sent."""
        self._ended = True
        self._news.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What is to be sent, as it comes, with a comment where nothing comes."""
        while True:
            while self._waiting:
                piece = self._waiting.popleft()
                self._size -= len(piece)
                yield piece
            if self._ended:
                return
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), limits.HEARTBEAT_SECONDS)
            except TimeoutError:
                yield HEARTBEAT
