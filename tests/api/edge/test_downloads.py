"""Long answers: broken off where something is missing, gone on with, and made for nobody who has left."""

import asyncio
import http.client
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from api.edge.bridge import Bridge
from imago_engine.artifacts import ArtifactKind
from infra.local.servers import Servers
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from tests.api.edge.test_connection import Server
from tests.api.of_atlases.test_export_tar import make_exports, publish

_PICTURE = 200_000
"""Bytes: some pictures are more than what is read before anything is sent."""


def test_a_download_breaks_off_where_a_picture_is_lost_and_goes_on_from_there(
    client: FlaskClient,
    database: Database,
    store: ObjectStore,
    settings: Settings,
    servers: Servers,
    network: str,
) -> None:
    version = publish(client, database, store)
    keys = enlarge(database, store)
    make_exports(database, store, settings)
    kept = store.get(keys[-1])
    server = Server(settings, servers)
    try:
        server.start()
        status, whole = get(server, f"{version}/export.tar")
        assert (status, len(whole) > len(keys) * _PICTURE) == (200, True)
        store.delete(keys[-1])
        with pytest.raises(http.client.IncompleteRead) as broken:
            get(server, f"{version}/export.tar")
        received = broken.value.partial
        assert whole.startswith(received)
        assert len(received) > (len(keys) - 2) * _PICTURE
        assert get(server, f"{version}/export.tar", first=len(received))[0] == 404
        store.put_under(keys[-1], kept, "image/png")
        status, rest = get(server, f"{version}/export.tar", first=len(received))
        assert (status, received + rest == whole) == (206, True)
    finally:
        server.kill()


def get(server: Server, path: str, first: int = 0) -> tuple[int, bytes]:
    """What is answered from a byte on. Raises `IncompleteRead` where it breaks off."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", path, headers={"Range": f"bytes={first}-"} if first else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def enlarge(database: Database, store: ObjectStore) -> list[str]:
    """Let the pictures be as large as pictures are; returns their keys in the order of the units."""
    noise = random.Random(7)
    keys = []
    with database.session() as session:
        digests = session.scalars(sa.text("SELECT digest FROM atlas_entries ORDER BY layer_no, unit, facet"))
        for digest in digests.all():
            keys.append(store.put(ArtifactKind.IMAGE, noise.randbytes(_PICTURE), "image/png"))
            larger = sa.text(
                "UPDATE artifacts SET object = :key, bytes = :bytes WHERE digest = :digest AND kind = 'image'"
            )
            session.execute(larger, {"key": keys[-1], "bytes": _PICTURE, "digest": digest})
    return keys


def test_nothing_more_is_made_for_a_client_that_has_left() -> None:
    made: list[int] = []
    closed: list[bool] = []

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            for number in range(1000):
                made.append(number)
                yield bytes(64 * 1024)

        def close(self) -> None:
            closed.append(True)

    def application(environ: Any, start_response: Any) -> Pieces:
        start_response("200 OK", [])
        return Pieces()

    messages = iter([{"type": "http.request"}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    async def ask(bridge: Bridge) -> None:
        scope = {"method": "GET", "raw_path": b"/", "query_string": b"", "http_version": "1.1", "headers": []}
        answer = await bridge.answer(scope, receive)
        assert answer is not None
        await bridge.send(answer, receive, send)

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(ask(Bridge(application, executor)))
    assert len(made) < 30
    assert closed == [True]
