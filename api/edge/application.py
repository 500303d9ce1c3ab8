"""The ASGI application: answers from the cache where that is allowed, else by calling Flask."""

import asyncio
import gc
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from flask import Flask

from api import application
from api.auth import PRINCIPAL, may_read
from api.context import context
from api.edge import limits
from api.edge.answers import Answers, Kept, Name
from api.edge.bridge import Bridge, Receive, Scope, Send
from api.edge.changes import Changes
from api.edge.refusals import Headers
from api.edge.streaming import Streaming
from api.edge.trust import TrustedKeys, credential
from api.http import request_log
from api.http.caching import KEPT_SECONDS
from api.http.places import Limits, Places
from api.http.response_headers import page_headers
from api.operations.download import DOWNLOAD, DOWNLOADS
from api.problems.documents import page_of
from api.problems.problem_types import ProblemType
from api.streams.hub import Hub
from api.streams.stream import OPENED, PLACES, Opened
from services.base.settings import Settings

_ONCE = (b"accept", b"authorization", b"cookie", b"if-none-match", b"origin", b"sec-fetch-site")
"""Headers that decide about an answer from memory; a request that repeats one is left to Flask."""
_KEYS = re.compile(rb"/(v1/keys|signout|account)(/|$)")
"""Where keys are revoked and sessions ended."""
_MAKING_SECONDS = 2.0
"""How long a request waits for another one that makes the same answer, before it makes its own."""
_DOWNLOADS = Limits(
    limits.DOWNLOADS_OF_ONE, limits.DOWNLOADS, "downloads at the same time", "wait until one has ended."
)


class Edge:
    """One process's application. Everything but calls of Flask runs in the event loop."""

    def __init__(self, settings: Settings, *, threads: int) -> None:
        self._settings = settings
        self._flask: Flask = application.create_app(
            settings, threads=threads, memory=settings.read_memory_mib << 20
        )
        self._context = context(self._flask)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._bridge = Bridge(self._flask, self._executor)
        self._answers = Answers(settings)
        self._in_the_making: dict[Name, asyncio.Event] = {}
        self._trusted = TrustedKeys()
        # Of its own: answers from memory must not wait for the threads of requests.
        self._looks = ThreadPoolExecutor(1, thread_name_prefix="changes")
        self._hub = Hub(self._context.database)
        self._streaming = Streaming(self._hub)
        self._downloads = Places(_DOWNLOADS)
        self._downloading = ThreadPoolExecutor(limits.DOWNLOAD_THREADS, thread_name_prefix="download")
        self._changes = Changes(self._context.database, self._looks, self._forget)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        began = time.perf_counter()
        headers = _headers_once(scope)
        name = None if headers is None else self._answers.name_of(scope, headers)
        if headers is not None and name is not None:
            if await self._by_memory(scope, send, headers, name, began):
                return
            if (made := self._in_the_making.get(name)) is not None:
                # What has just become too old is made anew for the first who asks, not for all at once.
                with suppress(TimeoutError):
                    await asyncio.wait_for(made.wait(), _MAKING_SECONDS)
                if await self._by_memory(scope, send, headers, name, began):
                    return
            elif self._answers.was_kept(name):
                self._in_the_making[name] = asyncio.Event()
                try:
                    await self._by_flask(scope, receive, send, headers, name)
                finally:
                    self._made(name)
                return
        await self._by_flask(scope, receive, send, headers or {}, name)

    async def _by_memory(
        self, scope: Scope, send: Send, headers: dict[bytes, bytes], name: Name, began: float
    ) -> bool:
        """Answer from memory, if there is an answer and the request may have it."""
        if self._answers.find(name) is None or not self._may_read(scope, headers):
            return False
        await self._changes.is_up_to_date()
        # Looked up anew: what was found may just have been forgotten.
        kept = self._answers.find(name)
        if kept is None:
            return False
        await self._send_kept(kept, scope, headers, send, began)
        return True

    def _made(self, name: Name) -> None:
        """Let those go on who waited for the answer of this name."""
        if (made := self._in_the_making.pop(name, None)) is not None:
            made.set()

    async def _by_flask(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes], name: Name | None
    ) -> None:
        count, clears = self._changes.count, self._trusted.clears
        began = self._trusted.now()
        answer = await self._bridge.answer(scope, receive, self._places)
        if answer is None:
            return
        principal = answer.environ.get(PRINCIPAL)
        named = credential(scope, headers)
        if principal is not None and named is not None and clears == self._trusted.clears:
            self._trusted.remember(named, principal, looked_up_at=began)
        if scope["method"] not in ("GET", "HEAD") and _KEYS.match(scope["raw_path"]):
            self._trusted.clear()
        if name is not None and KEPT_SECONDS in answer.environ:
            await self._changes.is_up_to_date()
            # What was read before a change was seen may be older than the change.
            if count == self._changes.count:
                self._answers.keep(name, scope["method"], answer)
        if name is not None:
            self._made(name)  # before it is sent: whoever reads slowly holds up nobody else
        opened: Opened | None = answer.environ.get(OPENED)
        if opened is not None and answer.status == HTTPStatus.OK:
            await self._streaming.send(opened, answer, receive, send)
        else:
            if opened is not None:  # what the view did after it had opened the stream failed
                self._streaming.places.give_back(opened.client)
            executor = self._downloading if DOWNLOAD in answer.environ else None
            await self._bridge.send(answer, receive, send, executor)

    @property
    def _places(self) -> dict[str, Places]:
        """How many answers that take long there may be, for those who give them."""
        return {PLACES: self._streaming.places, DOWNLOADS: self._downloads}

    def _may_read(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether the request may read for certain; where that is not certain, Flask decides."""
        if b"authorization" not in headers and may_read(None, self._settings):
            return True
        named = credential(scope, headers)
        principal = None if named is None else self._trusted.find(named)
        return principal is not None and may_read(principal, self._settings)

    async def _send_kept(
        self, kept: Kept, scope: Scope, headers: dict[bytes, bytes], send: Send, began: float
    ) -> None:
        unchanged = kept.is_held_by(headers.get(b"if-none-match"))
        status = 304 if unchanged else 200
        request_id = request_log.request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        own = [
            (b"x-request-id", request_id.encode()),
            (b"age", str(kept.age).encode()),
        ]
        said = kept.unchanged_headers if unchanged else kept.headers
        body = b"" if unchanged or scope["method"] == "HEAD" else kept.body
        await send({"type": "http.response.start", "status": status, "headers": [*said, *own]})
        await send({"type": "http.response.body", "body": body})
        named = credential(scope, headers)
        principal = None if named is None else self._trusted.find(named)
        request_log.record(
            self._context.metrics,
            self._settings,
            request_id=request_id,
            method=scope["method"],
            path=scope["path"],
            route=kept.route,
            status=status,
            seconds=time.perf_counter() - began,
            size=len(body),
            key_id=None if principal is None else principal.key_id,
        )

    def _problem_page(
        self, kind: ProblemType, document: dict[str, Any], back: str | None
    ) -> tuple[str, Headers]:
        """The page of a problem of a request that Flask has not seen; it asks nothing of any server."""
        with self._flask.test_request_context():
            text = page_of(document, kind.advice, back)
        return text, list(page_headers(self._settings).items())

    def _refused(self, request_id: str, method: str, status: int) -> None:
        request_log.record(
            self._context.metrics,
            self._settings,
            request_id=request_id,
            method=method,
            path=None,
            route="(none)",
            status=status,
            seconds=0.0,
            size=None,
            key_id=None,
        )

    def _stop(self) -> None:
        """The server begins to stop: let nothing wait for more."""
        self._context.stopping.set()
        self._hub.stop()

    def _forget(self) -> None:
        self._answers.clear()
        if self._context.objects is not None:
            self._context.objects.clear()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The server's start and end (ASGI's lifespan)."""
        await receive()
        state: dict[str, Any] = scope["state"]
        state["refused"] = self._refused
        state["problem_page"] = self._problem_page
        state["stop"] = self._stop
        # What is loaded by now stays. A full collection would look at all of it again, which holds up
        # whatever request it falls upon for some 150 ms of one busy core.
        gc.collect()
        gc.freeze()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for executor in (self._executor, self._looks, self._downloading):
            executor.shutdown(wait=False, cancel_futures=True)
        self._hub.close()
        self._context.close()
        await send({"type": "lifespan.shutdown.complete"})


def _headers_once(scope: Scope) -> dict[bytes, bytes] | None:
    """The headers by name; None if one that matters is there twice."""
    named = dict(scope["headers"])
    if len(named) != len(scope["headers"]):
        names = [name for name, _ in scope["headers"]]
        if any(names.count(name) > 1 for name in _ONCE):
            return None
    return named
