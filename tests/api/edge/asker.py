"""Asks an application as the server does, and counts what that costs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from api.context import context
from api.edge.application import Edge
from services.access import keys as access
from services.base.database import Database
from services.base.settings import Settings
from tests.api.small_catalog import NETWORK

UNIT = f"/v1/networks/{NETWORK}/layers/output/units/3"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Asker:
    """Asks an application as the server does, in an event loop of its own, and counts what that costs."""

    def __init__(self, settings: Settings) -> None:
        self._runner = asyncio.Runner()
        self.edge = Edge(settings, threads=4)
        # Nothing is kept before the first look at the database.
        self._runner.run(self.edge._changes.is_up_to_date())
        self.queries: list[str] = []
        self.fetched: list[str] = []
        inner = context(self.edge._flask)
        self.store = inner.store
        sa.event.listen(inner.database.engine, "before_cursor_execute", self._note_query)
        fetch = inner.store.verified

        def verified(key: str) -> Any:
            self.fetched.append(key)
            return fetch(key)

        inner.store.verified = verified  # type: ignore[method-assign]

    def _note_query(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        self.queries.append(statement)

    def get(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        """Headers are named with underscores."""
        return self._runner.run(self._ask(method, path, body, headers))

    def get_at_once(self, path: str, times: int) -> list[Answer]:
        """So many requests of one address, side by side."""

        async def ask() -> list[Answer]:
            return await asyncio.gather(*(self._ask("GET", path, b"", {}) for _ in range(times)))

        return self._runner.run(ask())

    def get_beside_a_body_that_does_not_come(self, path: str) -> Answer:
        """What is answered while another request of the address has announced a body."""

        async def never() -> Any:
            await asyncio.Event().wait()

        async def ask() -> Answer:
            unfinished = asyncio.create_task(self._ask("GET", path, b"", {"content_length": "5"}, never))
            await asyncio.sleep(0.1)
            try:
                return await asyncio.wait_for(self._ask("GET", path, b"", {}), 60)
            finally:
                unfinished.cancel()

        return self._runner.run(ask())

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: dict[str, str],
        receive: Callable[[], Awaitable[Any]] | None = None,
    ) -> Answer:
        before, _, query = path.partition("?")
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": method,
            "path": before,
            "raw_path": before.encode(),
            "query_string": query.encode(),
            "http_version": "1.1",
            "headers": [
                (name.lower().replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
        }

        async def receive_whole() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.edge(scope, receive or receive_whole, send)
        named = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], named, b"".join(message.get("body", b"") for message in sent[1:]))

    def close(self) -> None:
        self._runner.close()
        self.edge._executor.shutdown()
        self.edge._context.close()


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


def new_key(database: Database, *scopes: str) -> tuple[str, str]:
    """The id of a new key, and the header that names it."""
    with database.session() as session:
        key, token = access.create_key(session, "test", scopes)
    return key.id, f"Bearer {token}"


def paths(digest: str) -> tuple[str, ...]:
    one = f"/v1/visualizations/{digest}"
    return (one, f"{one}/image", f"{one}/code", UNIT, f"{UNIT}/image")
