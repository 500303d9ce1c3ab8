"""Answers from memory: what they cost, whom they reach, and when they are given up."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api.edge import changes
from api.edge.bridge import Bridge
from imago_engine.artifacts import ArtifactKind
from services.base.database import Database
from services.base.storage import ObjectStore
from services.pictures import losses, visualizations
from services.pictures.losses import Subject
from tests.api.edge.asker import UNIT, Asker, Clock, new_key, paths
from tests.api.small_catalog import finish_all, job_body

pytestmark = pytest.mark.usefixtures("network")


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
        key = visualizations.get(session, digest).artifacts["image"].object
        losses.note(session, subject, key, "missing", "scrub")
    asker.store.delete(key)
    lost = asker.get(image)
    assert (lost.status, lost.headers["content-type"]) == (404, "application/problem+json")
    assert "retry-after" in lost.headers
    assert "immutable" not in lost.headers["cache-control"]
    # Made again, with other bytes: the row points to them, and so does everything that is read.
    remade = asker.store.put(ArtifactKind.IMAGE, b"another picture", "image/png")
    with database.session() as session:
        session.connection().exec_driver_sql(
            "UPDATE artifacts SET object = %s, bytes = 15 WHERE digest = %s AND kind = 'image'",
            (remade, digest),
        )
        session.connection().exec_driver_sql("DELETE FROM work WHERE kind = 'repair'")
        session.connection().exec_driver_sql("INSERT INTO tallies VALUES ('repaired', 1)")
    assert asker.get(image).body == b"another picture"
    assert json.loads(asker.get(one).body)["image"]["bytes"] == 15


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
            await bridge.send(answer, receive, send)
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

    async def counted(self: Bridge, scope: Any, receive: Any, more: Any) -> Any:
        reached.append(scope["path"])
        return await answer(self, scope, receive, more)

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
