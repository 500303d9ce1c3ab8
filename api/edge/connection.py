"""Limits on time and size for each connection, on top of uvicorn's HTTP protocol, which has none.

Each limit that is passed is answered with a problem, as everywhere (a page for a browser, else a document),
and ends the connection. What a browser is says its headers: where it can be, they are read before the answer.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from typing import Any, Literal

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.edge import limits
from api.edge.refusals import Asked, refusal
from api.problems import problem_types
from api.problems.problem_types import ProblemType

Phase = Literal["idle", "head", "body"]
Refused = Callable[[str, str, int], None]
"""Told of each refusal: the request's id, its method and the status."""


_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) (\S+) HTTP/1\.[01]\r\n")
"""Of any method (RFC 9110 §9.1, RFC 9112 §3)."""


class RefusedError(Exception):
    """Ends the parsing of a request that has been refused."""


class LimitedProtocol(HttpToolsProtocol):
    """A connection that cannot hold more than its share of the process, whatever the client does or omits.

    The lifespan's state holds `refused`, a `Refused`, `problem_page`, a `PageMaker`, and `stop`, called when
    the server begins to stop.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._phase: Phase = "idle"
        self._chunk = b""
        """What is being parsed."""
        self._fed = 0
        """Bytes of chunks that hold nothing but this head."""
        self._parsed = 0
        """Bytes of the headers, then of the body."""
        self._target = 0
        """Bytes of the path and query, of which `url` holds the first."""
        self._announced = 0
        """Bytes that the body is said to have."""
        self._messages = 0
        self._is_surplus = False
        self._came = 0
        """Bytes that were thrown away after a refusal."""
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_of: tuple[int, Phase] = (0, "idle")
        self._standstill: asyncio.TimerHandle | None = None
        self._is_refused = False

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse the connection if there are too many, once it has said what it wants."""
        super().connection_made(transport)
        self._is_surplus = len(self.connections) > limits.CONNECTIONS
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and end a head that is too large."""
        if self._is_refused:
            self._came += len(data)
            return
        # A chunk in which a head only begins is not counted: it may hold the end of a body before it.
        self._chunk = data
        goes_on, target = self._messages if self._phase == "head" else None, self._target
        super().data_received(data)
        self._chunk = b""
        if self._phase == "head" and goes_on == self._messages:
            self._fed += len(data) - (self._target - target)
            if self._fed > limits.HEAD_BYTES:
                self._refuse_head()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        for timer in (self._deadline, self._standstill):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read: end the connection if it goes on."""
        super().pause_writing()
        self._standstill = self.loop.call_later(limits.READER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._standstill is not None:
            self._standstill.cancel()

    # What uvicorn calls.

    def shutdown(self) -> None:
        """End the connection once its answer is sent, at once where none will be."""
        self.app_state["stop"]()
        if self._phase != "idle" or self._is_refused:
            # A request that has not arrived will not be answered any more.
            self.transport.abort()
            return
        super().shutdown()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(limits.STOP_SECONDS / 3, self.transport.abort)

    def on_response_complete(self) -> None:
        """Give a client that is to go some seconds to read the rest."""
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.loop.call_later(limits.READER_SECONDS, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """End a connection on which nothing was asked for some time."""
        if self.transport.get_write_buffer_size():
            # Closing would wait for a client that does not take the rest of its answer.
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem document."""
        if self._is_refused:
            return
        method = self._unknown_method()
        if method is not None:
            detail = f"{method} is no method of HTTP; GET is one, and POST."
            self._refuse(problem_types.UNKNOWN_METHOD, detail)
        else:
            self._refuse(problem_types.MALFORMED_REQUEST, "This is not an HTTP/1.1 request.")

    # What the parser calls. An exception here ends the parsing.

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._phase, self._fed, self._parsed, self._target, self._announced = "head", 0, 0, 0, 0
        self._messages += 1

    def on_url(self, url: bytes) -> None:
        """Keep of an address that is too long the first; refuse one that does not end."""
        super().on_url(url[: max(0, limits.TARGET_BYTES - self._target)])
        self._target += len(url)
        if self._target > limits.BODY_BYTES:
            self._refuse_head()
            raise RefusedError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Refuse heads that are too large; drop trailers."""
        self._parsed += len(name) + len(value) + 4
        if self._phase == "body":
            # A trailer. It must not pass for what the head says (RFC 9110 §6.5.1), and nobody here reads any.
            if self._parsed > limits.BODY_BYTES:
                self._refuse_body()
                raise RefusedError
            return
        super().on_header(name, value)
        if self._parsed > limits.HEAD_BYTES or len(self.headers) > limits.HEADERS:
            self._refuse_head()
            raise RefusedError
        if name.lower() == b"content-length":
            self._announced = int(value)

    def on_headers_complete(self) -> None:
        """The body begins; refuse what the head has told to be too much."""
        if self._is_surplus:
            self._refuse_surplus()
        elif self._target > limits.TARGET_BYTES:
            self._refuse_head()
        elif self._announced > limits.BODY_BYTES:
            self._refuse_body()
        if self._is_refused:
            raise RefusedError
        self._phase, self._parsed = "body", 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Refuse a body that is too large."""
        self._parsed += len(body)
        if self._parsed > limits.BODY_BYTES:
            self._refuse_body()
            raise RefusedError
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has arrived whole."""
        self._phase = "idle"
        super().on_message_complete()

    def _unknown_method(self) -> str | None:
        """The method of a request that the parser has refused for nothing else: it knows those of HTTP. What
        else its head says is then read, as far as it is there, to tell a browser. Asks nothing of a request
        that follows another one in the same chunk."""
        found = None if self._target else _REQUEST_LINE.match(self._chunk)
        if found is None:
            return None
        self.url = found[2][: limits.TARGET_BYTES]
        lines = self._chunk[found.end() :].partition(b"\r\n\r\n")[0].split(b"\r\n")
        named = (line.partition(b":") for line in lines[: limits.HEADERS])
        self.headers = [(name.strip().lower(), value.strip()) for name, _, value in named]
        return found[1].decode()

    # The limits.

    def _watch(self) -> None:
        """Keep one deadline: for the part of the message that is on its way, from when it began."""
        if self._is_refused:
            return
        # Nobody connects to say nothing: the first head is on its way from the start.
        phase: Phase = "head" if self._messages == 0 else self._phase
        now = (self._messages, phase)
        if now == self._deadline_of:
            return
        self._deadline_of = now
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if phase != "idle":
            seconds = limits.HEAD_SECONDS if phase == "head" else limits.BODY_SECONDS
            seconds = limits.LINGER_SECONDS if self._is_surplus else seconds
            self._deadline = self.loop.call_later(seconds, self._is_late, phase, seconds)

    def _is_late(self, phase: Phase, seconds: float) -> None:
        if self._is_surplus:
            self._refuse_surplus()
            return
        if self._messages == 0:
            self.transport.abort()
            return
        if self._target > limits.TARGET_BYTES:
            self._refuse_head()
            return
        part = "headers" if phase == "head" else "body"
        detail = f"The {part} of the request did not arrive within {seconds:g} s."
        self._refuse(problem_types.REQUEST_TIMEOUT, detail)

    def _refuse_surplus(self) -> None:
        self._refuse(problem_types.UNAVAILABLE, "There are too many connections.")

    def _refuse_head(self) -> None:
        if self._target > limits.TARGET_BYTES:
            detail = f"Path and query may have {limits.TARGET_BYTES} bytes together."
            self._refuse(problem_types.TARGET_TOO_LONG, detail)
        else:
            detail = f"There may be {limits.HEADERS} headers, of {limits.HEAD_BYTES} bytes together."
            self._refuse(problem_types.HEADERS_TOO_LARGE, detail)

    def _refuse_body(self) -> None:
        self._refuse(problem_types.TOO_LARGE, f"The body may have at most {limits.BODY_BYTES} bytes.")

    def _refuse(self, kind: ProblemType, detail: str) -> None:
        """Answer with the problem, once, and end the connection, without reading what else was meant to
        come."""
        if self._is_refused:
            return
        self._is_refused = True
        if self._deadline is not None:
            self._deadline.cancel()
        request_id = f"req_{secrets.token_hex(10)}"
        cycle: RequestResponseCycle | None = self.cycle
        # An answer to a request before this one may be half sent: nothing can follow it then.
        is_its_own = (
            self._phase == "body" and cycle is not None and not cycle.response_started and not self.pipeline
        )
        if cycle is None or cycle.response_complete or is_its_own:
            is_head = self._messages > 0 and self.parser.get_method() == b"HEAD"
            asked = Asked(self.url, self.headers, is_head) if self._messages else Asked(b"", (), is_head)
            self.transport.write(refusal(kind, detail, request_id, asked, self.app_state["problem_page"]))
            self.transport.write_eof()
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.flow.resume_reading()
        self._linger(self.loop.time() + limits.BODY_SECONDS)
        scope: HTTPScope | None = self.scope
        method = "-" if scope is None else scope.get("method", "-")
        self.app_state["refused"](request_id, method, int(kind.status))

    def _linger(self, until: float) -> None:
        """Throw away what the client sends, as long as it sends something, and not for ever."""
        before = self._came

        def look() -> None:
            if self._came == before or self.loop.time() > until:
                self.transport.abort()
            else:
                self._linger(until)

        self.loop.call_later(limits.LINGER_SECONDS, look)
