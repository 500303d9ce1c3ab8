"""The server as a process, and what streams of it tell."""

import http.client
import itertools
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from imago_engine.artifacts import Artifact, ArtifactKind
from infra.local.endpoints import Endpoints
from infra.local.servers import Servers
from services.base.database import Database
from services.base.errors import Conflict
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.jobs import jobs
from services.jobs.job_request import JobRequest
from services.jobs.submission import submit
from services.pictures.artifacts import put
from services.queue import batches
from services.queue.batches import Finished
from tests.api.small_catalog import job_body, png, register
from tests.api_process import ApiProcess
from tests.own_settings import own_settings, own_variables


@dataclass
class Event:
    name: str
    id: str
    data: dict[str, Any]

    @property
    def digests(self) -> list[str]:
        return [item["digest"] for item in self.data["items"]]


@dataclass
class Reader:
    """One stream, read line by line."""

    connection: http.client.HTTPConnection
    answer: http.client.HTTPResponse
    comments: int = 0
    events: list[Event] = field(default_factory=list)

    def next(self) -> Event | None:
        """The next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        while line := self.answer.readline().decode():
            line = line.rstrip("\n")
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                event = Event(fields["event"], fields["id"], json.loads(fields["data"]))
                self.events.append(event)
                return event
            else:
                fields = {}
        return None

    def until(self, there: Callable[[Event], bool]) -> Event:
        """The first event of that kind."""
        while (event := self.next()) is not None:
            if there(event):
                return event
        raise AssertionError(f"the stream has ended; it told {self.events}")

    def rest(self) -> list[Event]:
        """All that comes until the stream ends."""
        while self.next() is not None:
            pass
        return self.events

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


class Server(ApiProcess):
    """One whose answers are read by hand, and its streams event by event."""

    def __init__(self, environment: dict[str, str]) -> None:
        super().__init__(environment, "--threads", "4")
        self._readers: list[Reader] = []

    def close_streams(self) -> None:
        while self._readers:
            self._readers.pop().close()

    def kill(self) -> None:
        self.close_streams()
        super().kill()

    def _ask(
        self, path: str, method: str, host: str, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=(host, 0))
        connection.request(method, path, headers=headers)
        return connection, connection.getresponse()

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Headers are named with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection, answer = self._ask(path, method, "127.0.0.1", named)
        body = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    def status(self, path: str, host: str) -> int:
        """How a request for a stream is answered, which is not read."""
        connection, answer = self._ask(path, "GET", host, {})
        answer.close()
        connection.close()
        return answer.status

    def open(self, path: str, host: str = "127.0.0.1", **headers: str) -> Reader:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection, answer = self._ask(path, "GET", host, {"Accept": "text/event-stream", **named})
        assert answer.status == 200, (answer.status, answer.read())
        reader = Reader(connection, answer)
        self._readers.append(reader)
        return reader

    def connect(self) -> socket.socket:
        """A connection whose client takes very little at a time."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", self.port))
        return connection


@pytest.fixture(scope="module")
def own(servers: Servers, migrated_template: str) -> Iterator[Settings]:
    """Settings with a database that is not emptied between tests: the server looks at it all the time."""
    with own_settings(servers, migrated_template) as settings:
        yield settings


@pytest.fixture(scope="module")
def database(own: Settings) -> Iterator[Database]:
    with Database.opened(own.database_url) as database:
        register(database)
        yield database


@pytest.fixture(scope="module")
def store(own: Settings) -> ObjectStore:
    store = ObjectStore(own)
    store.ensure_bucket()
    return store


@pytest.fixture(scope="module")
def running(own: Settings, database: Database, endpoints: Endpoints) -> Iterator[Server]:
    server = Server({**own_variables(endpoints, own), "IMAGO_LOG_FORMAT": "json"})
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """One server for all tests; streams that a test leaves open are closed."""
    yield running
    running.close_streams()


@pytest.fixture(scope="module")
def seeds() -> Iterator[int]:
    """Each as often as it takes a job for which nothing is known yet."""
    return itertools.count(0, 10)


@pytest.fixture
def submitted(database: Database, seeds: Iterator[int]) -> Iterator[Callable[..., str]]:
    """Submits a job of pictures that nobody else wants, and cancels it after the test."""
    made: list[str] = []

    def submitted(units: str = "0-3", layer: str = "output", seeds_each: int = 1) -> str:
        first = next(seeds)
        body = job_body(units, layer, seeds=list(range(first, first + seeds_each)))
        with database.session() as session:
            made.append(submit(session, JobRequest.model_validate(body)).job.id)
        return made[-1]

    yield submitted
    for job in made:
        with suppress(Conflict), database.session() as session:
            jobs.cancel(session, job)


def finish_some(database: Database, store: ObjectStore, limit: int) -> list[str]:
    """What a worker does with one batch; the digests of what is done then."""
    with database.session() as session:
        claim = batches.claim(session, "test", limit=limit, lease_seconds=60)
    assert claim is not None
    image = put(store, Artifact(ArtifactKind.IMAGE, "image/png", png(3), 1, 1))
    results = [
        Finished(
            digest=work.digest,
            activation=1.0,
            predictions=[(work.unit, 0.5)],
            artifacts=[image],
            crop_box=None,
            provenance={"worker": "test"},
        )
        for work in claim.items
    ]
    with database.session() as session:
        batches.conclude(session, claim.lease_id, finished=results)
    return [work.digest for work in claim.items]
