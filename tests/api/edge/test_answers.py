"""Answers from memory: what they cost, whom they reach, and when they are given up."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from api.context import context
from api.edge import changes, trust
from api.edge.application import Edge
from api.edge.bridge import Bridge
from services.access import keys as access
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.pictures import losses
from services.pictures.losses import Subject
from tests.api.small_catalog import NETWORK, finish_all, job_body

pytestmark = pytest.mark.usefixtures("network")

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


@pytest.fixture
def make(settings: Settings) -> Iterator[Callable[..., Asker]]:
    made: list[Asker] = []

    def ask(**changed: Any) -> Asker:
        made.append(Asker(settings.model_copy(update=changed)))
        return made[-1]

    yield ask
    for asker in made:
        asker.close()


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which answers and keys age."""
    clock = Clock()
    for module in ("answers", "trust"):
        monkeypatch.setattr(f"api.edge.{module}.time", clock)
    return clock


def new_key(database: Database, *scopes: str) -> tuple[str, str]:
    """The id of a new key, and the header that names it."""
    with database.session() as session:
        key, token = access.create_key(session, "test", scopes)
    return key.id, f"Bearer {token}"


@pytest.fixture
def digest(database: Database, store: ObjectStore, make: Callable[..., Asker]) -> str:
    """Of a finished visualization of unit 3."""
    asker = make()
    job = asker.get(
        "/v1/jobs",
        "POST",
        json.dumps(job_body("3")).encode(),
        content_type="application/json",
        authorization=new_key(database, "jobs:write")[1],
    )
    assert job.status == 202
    finish_all(database, store)
    found = asker.get(json.loads(job.body)["links"]["visualizations"])
    name: str = json.loads(found.body)["data"][0]["digest"]
    return name


@pytest.fixture
def asker(make: Callable[..., Asker], digest: str) -> Asker:
    return make()


def paths(digest: str) -> tuple[str, ...]:
    one = f"/v1/visualizations/{digest}"
    return (one, f"{one}/image", f"{one}/code", UNIT, f"{UNIT}/image")


def test_what_was_read_is_read_again_without_a_query_or_the_store(
    asker: Asker, digest: str, clock: Clock
) -> None:
    first = {path: asker.get(path) for path in paths(digest)}
    assert len(set(asker.fetched)) == len(asker.fetched) == 2  # the picture, once for both, and the code
    asker.queries.clear()
    asker.fetched.clear()
    for path, answer in first.items():
        assert answer.status == 200
        again = asker.get(path)
        assert (again.status, again.body) == (200, answer.body)
        own = {"age", "x-request-id"}
        assert {name: again.headers[name] for name in again.headers if name not in own} == {
            name: answer.headers[name] for name in answer.headers if name not in own
        }
        assert again.headers["x-request-id"] != answer.headers["x-request-id"]
        held = asker.get(path, if_none_match=f'"other", W/{answer.headers["etag"]}')
        assert (held.status, held.body) == (304, b"")
        assert "content-length" not in held.headers
        head = asker.get(path, "HEAD")
        assert (head.status, head.body, head.headers["etag"]) == (200, b"", answer.headers["etag"])
    assert asker.fetched == []
    # All that is asked is whether anything was lost or made again.
    assert [query for query in asker.queries if "tallies" not in query] == []


def test_a_picture_that_is_not_in_memory_costs_one_query_without_joins(
    make: Callable[..., Asker], digest: str
) -> None:
    asker = make()
    asker.queries.clear()
    assert asker.get(f"/v1/visualizations/{digest}/image").status == 200
    asked = [query for query in asker.queries if "visualizations" in query]
    assert len(asked) == 1
    assert "JOIN" not in asked[0]


def test_a_unit_says_that_it_may_be_two_seconds_old_and_is_not_older(
    asker: Asker, database: Database, store: ObjectStore, clock: Clock
) -> None:
    first = asker.get(UNIT)
    assert first.headers["cache-control"] == "public, max-age=2"
    body = json.dumps(job_body("3", seeds=[1])).encode()
    key = new_key(database, "jobs:write")[1]
    asker.get("/v1/jobs", "POST", body, content_type="application/json", authorization=key)
    finish_all(database, store)
    assert json.loads(first.body)["pictures"] == 1
    assert asker.get(UNIT).body == first.body
    clock.now += 2.01
    assert json.loads(asker.get(UNIT).body)["pictures"] == 2


def test_what_the_store_lost_is_not_given_from_memory_any_more(
    asker: Asker, digest: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "SECONDS", 0.0)
    monkeypatch.setattr(changes, "_EARLY", 0.0)
    image, one = f"/v1/visualizations/{digest}/image", f"/v1/visualizations/{digest}"
    assert [asker.get(path).status for path in (image, one)] == [200, 200]
    assert asker.get(image).status == 200
    with database.session() as session:
        subject = Subject("visualization", digest)
        key = losses.keys_of(session, subject)[0]
        losses.note(session, subject, key, "missing", "scrub")
    asker.store.delete(key)
    lost = asker.get(image)
    assert (lost.status, lost.headers["content-type"]) == (404, "application/problem+json")
    assert "retry-after" in lost.headers
    assert "immutable" not in lost.headers["cache-control"]
    # Made again, with other bytes: the row points to them, and so does everything that is read.
    remade = asker.store.put("image", b"another picture", "image/png")
    with database.session() as session:
        session.connection().exec_driver_sql(
            "UPDATE visualizations SET image_object = %s, image_bytes = 15 WHERE digest = %s",
            (remade, digest),
        )
        session.connection().exec_driver_sql("DELETE FROM work WHERE kind = 'repair'")
        session.connection().exec_driver_sql("INSERT INTO tallies VALUES ('repaired', 1)")
    assert asker.get(image).body == b"another picture"
    assert json.loads(asker.get(one).body)["image"]["bytes"] == 15


def test_where_reading_needs_a_key_memory_gives_nothing_without_one(
    make: Callable[..., Asker], digest: str, database: Database, clock: Clock
) -> None:
    asker = make(public_read=False)
    reader, writer = (new_key(database, scope)[1] for scope in ("read", "jobs:write"))
    for path in paths(digest):
        answers = [asker.get(path, authorization=reader) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 200]
        assert "age" in answers[1].headers
        assert answers[1].headers["cache-control"].startswith("private")
        for attempt in range(2):
            assert asker.get(path).status == 401, attempt
            assert asker.get(path, if_none_match=answers[0].headers["etag"]).status == 401
            assert asker.get(path, authorization=writer).status == 403
            assert asker.get(path, authorization=reader[:-1] + "~").status == 401


def test_a_key_is_looked_up_once_in_thirty_seconds_and_a_revoked_one_trusted_no_longer(
    make: Callable[..., Asker], digest: str, database: Database, clock: Clock
) -> None:
    asker, path = make(public_read=False), f"/v1/visualizations/{digest}"
    id, key = new_key(database, "read")
    asker.get(path, authorization=key)
    asker.queries.clear()
    assert asker.get(path, authorization=key).status == 200
    assert [query for query in asker.queries if "api_keys" in query] == []
    with database.session() as session:
        access.revoke_key(session, id)
    assert asker.get(path, authorization=key).status == 200
    clock.now += trust.SECONDS
    assert asker.get(path, authorization=key).status == 401


def test_a_key_that_is_revoked_in_the_same_process_or_expires_is_trusted_no_longer(
    make: Callable[..., Asker], digest: str, database: Database
) -> None:
    asker, path = make(public_read=False), f"/v1/visualizations/{digest}"
    id, key = new_key(database, "read")
    admin = new_key(database, "admin")[1]
    assert [asker.get(path, authorization=key).status for _ in range(2)] == [200, 200]
    assert asker.get(f"/v1/keys/{id}", "DELETE", authorization=admin).status == 200
    assert asker.get(path, authorization=key).status == 401

    with database.session() as session:
        row, token = access.create_key(session, "short", ["read"])
        session.connection().exec_driver_sql(
            "UPDATE api_keys SET expires_at = now() + interval '1 second' WHERE id = %s", (row.id,)
        )
    assert asker.get(path, authorization=f"Bearer {token}").status == 200
    time.sleep(1.1)
    assert asker.get(path, authorization=f"Bearer {token}").status == 401


def test_a_key_used_on_answers_from_memory_is_noted_as_used(
    make: Callable[..., Asker], digest: str, database: Database
) -> None:
    asker = make(public_read=False)
    id, key = new_key(database, "read")
    for _ in range(3):
        asker.get(f"/v1/visualizations/{digest}", authorization=key)
    with database.session() as session:
        assert {row.id: row.last_used_at for row in access.list_keys(session)}[id] is not None


def test_other_origins_get_from_memory_what_they_would_get_from_flask(
    make: Callable[..., Asker], digest: str, database: Database
) -> None:
    lab = "https://lab.example.org"
    asker, path = make(cors_origins=(lab,)), f"/v1/visualizations/{digest}"
    key = new_key(database, "read")[1]
    asker.get(path, authorization=key)  # so that the key is trusted
    cases: tuple[tuple[dict[str, str], str | None], ...] = (
        ({}, "*"),
        ({"origin": lab}, lab),
        ({"origin": lab, "authorization": key}, lab),
        ({"origin": "https://other.example.org"}, "*"),
        ({"origin": "https://other.example.org", "authorization": key}, None),
    )
    for attempt in range(2):
        for headers, allowed in cases:
            answer = asker.get(path, "GET", b"", **headers)
            assert answer.status == 200
            assert answer.headers.get("access-control-allow-origin") == allowed, (attempt, headers)


def test_what_is_not_finished_and_what_is_refused_is_not_kept(
    asker: Asker, database: Database, store: ObjectStore
) -> None:
    body = json.dumps(job_body("4")).encode()
    key = new_key(database, "jobs:write")[1]
    job = asker.get("/v1/jobs", "POST", body, content_type="application/json", authorization=key)
    items = json.loads(asker.get(json.loads(job.body)["links"]["visualizations"]).body)["data"]
    one, image = items[0]["links"]["self"], f"{items[0]['links']['self']}/image"
    assert (asker.get(one).status, asker.get(image).status) == (200, 404)
    finish_all(database, store)
    assert json.loads(asker.get(one).body)["state"] == "done"
    assert asker.get(image).status == 200


def test_a_large_answer_is_sent_in_pieces_and_closed() -> None:
    from concurrent.futures import ThreadPoolExecutor

    closed: list[bool] = []

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            return iter([bytes([index]) * 100_000 for index in range(40)])

        def close(self) -> None:
            closed.append(True)

    def application(environ: Any, start_response: Any) -> Pieces:
        start_response("200 OK", [("Content-Length", "4000000"), ("X-Seen", environ["PATH_INFO"])])
        return Pieces()

    async def ask() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        with ThreadPoolExecutor(1) as executor:
            bridge = Bridge(application, executor)
            scope = {
                "method": "GET",
                "raw_path": b"/a%20b",
                "query_string": b"",
                "http_version": "1.1",
                "headers": [],
            }
            answer = await bridge.answer(scope, receive)
            assert answer is not None
            await bridge.send(answer, send)
        return sent

    sent = asyncio.run(ask())
    assert sent[0]["headers"][1] == (b"x-seen", b"/a b")
    assert b"".join(message["body"] for message in sent[1:]) == b"".join(Pieces())
    assert len(sent) > 10
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(sent) - 2) + [False]
    assert closed == [True]


def test_what_became_too_old_is_made_anew_once_for_all_who_ask(
    asker: Asker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker.get(UNIT)
    reached: list[str] = []
    answer = Bridge.answer

    async def counted(self: Bridge, scope: Any, receive: Any) -> Any:
        reached.append(scope["path"])
        return await answer(self, scope, receive)

    monkeypatch.setattr(Bridge, "answer", counted)
    clock.now += 2.01
    answers = asker.get_at_once(UNIT, 16)
    assert {found.status for found in answers} == {200}
    assert len({found.body for found in answers}) == 1
    assert reached == [UNIT]
    # What is not kept is asked for by each: a job that is waited for holds nobody up.
    reached.clear()
    asker.get_at_once("/v1/jobs", 3)
    assert reached == ["/v1/jobs"] * 3


def test_a_body_that_does_not_come_holds_up_nobody_who_asks_for_the_same(asker: Asker, clock: Clock) -> None:
    asker.get(UNIT)
    clock.now += 2.01
    assert asker.get_beside_a_body_that_does_not_come(UNIT).status == 200


def test_what_is_in_memory_waits_for_no_thread_of_a_request(
    asker: Asker, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/visualizations/{digest}"
    asker.get(path)
    go_on = threading.Event()
    held = [asker.edge._executor.submit(go_on.wait, 300) for _ in range(4)]
    monkeypatch.setattr(changes, "SECONDS", 0.0)
    monkeypatch.setattr(changes, "_EARLY", 0.0)
    assert asker.get(path).status == 200
    assert not any(one.done() for one in held)
    go_on.set()


def test_memory_answers_only_who_takes_any_type(asker: Asker, digest: str) -> None:
    path = f"/v1/visualizations/{digest}"
    asker.get(path)
    for accept, status in {
        "image/png": 406,
        "*/*;q=0": 406,
        "application/json": 200,
        "text/html, */*;q=0.8": 200,
    }.items():
        assert asker.get(path, accept=accept).status == status, accept


def test_a_key_that_was_looked_up_before_others_were_revoked_is_not_trusted(
    make: Callable[..., Asker], digest: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker, key = make(public_read=False), new_key(database, "read")[1]
    answer = Bridge.answer

    async def revoked_meanwhile(self: Bridge, scope: Any, receive: Any) -> Any:
        found = await answer(self, scope, receive)
        asker.edge._trusted.clear()
        return found

    monkeypatch.setattr(Bridge, "answer", revoked_meanwhile)
    assert asker.get(f"/v1/visualizations/{digest}", authorization=key).status == 200
    assert asker.edge._trusted.find(key.encode()) is None


def test_a_key_is_trusted_from_when_it_was_looked_up(clock: Clock) -> None:
    keys, principal = trust.TrustedKeys(), access.Principal("id", "name", frozenset({"read"}))
    keys.remember(b"key", principal, looked_up_at=clock.now - 29)
    assert keys.find(b"key") == principal
    clock.now += 1.01
    assert keys.find(b"key") is None
