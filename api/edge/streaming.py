"""Send streams of events: no thread is held by one, however long it is open."""

import asyncio

from api.edge import limits
from api.edge.bridge import Answer, Receive, Send
from api.http.places import Limits, Places
from api.streams.event import EventId
from api.streams.hub import Hub
from api.streams.stream import Opened, Stream

_LIMITS = Limits(limits.STREAMS_OF_ONE, limits.STREAMS, "open streams", "close some, or poll.")


class Streaming:
    """The streams of one process."""

    def __init__(self, hub: Hub) -> None:
        self.places = Places(_LIMITS)
        self._hub = hub

    async def send(self, opened: Opened, answer: Answer, receive: Receive, send: Send) -> None:
        """Send what the view has begun, and go on until the subject ends, the client leaves or the server
        stops."""
        stream = Stream(opened)
        gone = asyncio.create_task(_until_gone(receive))
        gone.add_done_callback(lambda _: stream.end())
        try:
            headers = [header for header in answer.headers if header[0] != b"content-length"]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await _send_piece(send, answer.body)
            await self._send_older(opened, gone, send)
            self._hub.add(stream)
            async for piece in stream.pieces():
                await _send_piece(send, piece)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._hub.remove(stream)
            self.places.give_back(opened.client)
            gone.cancel()
            answer.close()

    async def _send_older(self, opened: Opened, gone: "asyncio.Task[None]", send: Send) -> None:
        """What ended before the stream began and did not fit into its first events, as fast as it is read."""
        last: EventId | None = opened.last if opened.goes_on else None
        while last is not None and not gone.done():
            told, items = await self._hub.older(opened.key, last)
            for event in told:
                await _send_piece(send, event)
            opened.known.update({item.digest: item.finished_at for item in items})
            last = EventId(items[-1].finished_at, digest=items[-1].digest) if items else None


async def _send_piece(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
