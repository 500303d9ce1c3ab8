"""Call the Flask application (WSGI) from the ASGI server: whole requests, in a few threads.

A thread is held while the answer is made, never while a client sends or reads: that is what keeps slow
clients from stopping the service. Ready-made bridges hand a thread a body that is still to come.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from api.operations.download import BEGUN_BYTES, DOWNLOAD

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
Environ = dict[str, Any]
Application = Callable[..., Any]

_AT_ONCE = 1024 * 1024
"""Bytes of an answer that are made before the first is sent; the rest of a larger one follows in pieces."""
_PIECE = 64 * 1024


@dataclass
class Answer:
    """What the application said. `rest` is None where `body` is all of it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    rest: Iterator[bytes] | None
    close: Callable[[], None]
    environ: Environ


class Bridge:
    """A WSGI application, for ASGI. Its calls run on `executor`."""

    def __init__(self, application: Application, executor: Executor) -> None:
        self._application = application
        self._executor = executor

    async def answer(
        self, scope: Scope, receive: Receive, more: Mapping[str, Any] | None = None
    ) -> Answer | None:
        """The application's answer; None when the client is gone before it has sent everything. `more` is put
        into the WSGI environment."""
        body = await _whole_body(receive)
        if body is None:
            return None
        answer: Answer = await _in_thread(
            self._executor, self._call, {**_environ(scope, body), **(more or {})}
        )
        return answer

    async def send(
        self, answer: Answer, receive: Receive, send: Send, executor: Executor | None = None
    ) -> None:
        """Send an answer, and close it whatever happens. What follows of a long one is made on `executor`, if
        there is one, and no more is made once the client is gone."""
        on = executor or self._executor
        leaving = None if answer.rest is None else asyncio.create_task(_leaves(receive))
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            rest = answer.rest
            body, answer.body = answer.body, b""
            await send({"type": "http.response.body", "body": body, "more_body": rest is not None})
            del body
            while rest is not None and leaving is not None and not (leaving.done() and leaving.result()):
                piece = await _in_thread(on, _take, rest, _PIECE)
                if len(piece) < _PIECE:
                    rest = None
                await send({"type": "http.response.body", "body": piece, "more_body": rest is not None})
        finally:
            if leaving is not None:
                leaving.cancel()
            await _in_thread(on, answer.close)

    def _call(self, environ: Environ) -> Answer:
        said: list[Any] = []
        pieces = self._application(environ, lambda status, headers, _=None: said.append((status, headers)))
        close = getattr(pieces, "close", lambda: None)
        try:
            rest = iter(pieces)
            at_once = BEGUN_BYTES if DOWNLOAD in environ else _AT_ONCE
            body = _take(rest, at_once)
        except BaseException:
            close()
            raise
        status, headers = said[0]
        return Answer(
            int(status.split(" ", 1)[0]),
            [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in headers
                if name.lower() != "date"  # the server's own
            ],
            body,
            None if len(body) < at_once else rest,
            close,
            environ,
        )


def _take(pieces: Iterator[bytes], size: int) -> bytes:
    """The next `size` bytes or somewhat more; fewer only at the end."""
    taken, total = [], 0
    for piece in pieces:
        taken.append(piece)
        total += len(piece)
        if total >= size:
            break
    return b"".join(taken)


async def _in_thread(executor: Executor, call: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(executor, call, *arguments)


async def _leaves(receive: Receive) -> bool:
    """Wait for what comes after a request: nothing does until the client leaves, or has the answer."""
    return bool((await receive())["type"] == "http.disconnect")


async def _whole_body(receive: Receive) -> bytes | None:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _environ(scope: Scope, body: bytes) -> Environ:
    """The request as PEP 3333 wants it: texts hold bytes as Latin-1."""
    host, port = scope.get("server") or ("localhost", None)
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if scope.get("client"):
        environ["REMOTE_ADDR"] = scope["client"][0]
    has_length = False
    for name, value in scope["headers"]:
        if b"_" in name or name == b"transfer-encoding":
            # X_Forwarded_For would become the same variable as X-Forwarded-For; and the body is whole here.
            continue
        text = value.decode("latin-1")
        if name == b"content-type":
            environ["CONTENT_TYPE"] = text
        elif name == b"content-length":
            has_length = True
        else:
            variable = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
            # HTTP/2 may send each cookie by itself (RFC 9113 §8.2.3); a proxy may have left it at that.
            between = "; " if name == b"cookie" else ","
            environ[variable] = f"{environ[variable]}{between}{text}" if variable in environ else text
    if body or has_length:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ
