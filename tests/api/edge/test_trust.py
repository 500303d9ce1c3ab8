"""Who may read answers from memory: keys that were looked up a moment ago."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from api.browser.forgery import token_of
from api.edge import trust
from api.edge.bridge import Bridge
from services.access import browser_sessions
from services.access import keys as access
from services.base.database import Database
from tests.api.edge.asker import Asker, Clock, new_key, paths

pytestmark = pytest.mark.usefixtures("network")


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


def test_a_key_that_was_looked_up_before_others_were_revoked_is_not_trusted(
    make: Callable[..., Asker], digest: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker, key = make(public_read=False), new_key(database, "read")[1]
    answer = Bridge.answer

    async def revoked_meanwhile(self: Bridge, *asked: Any) -> Any:
        found = await answer(self, *asked)
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


def new_session(database: Database, *scopes: str) -> tuple[str, str]:
    """The id of a new key, and the value of a cookie that stands for it."""
    id, key = new_key(database, *scopes)
    with database.session() as session:
        return id, browser_sessions.begin(session, key.removeprefix("Bearer ")).token


def test_a_browser_that_is_signed_in_is_answered_from_memory_and_no_other_is(
    make: Callable[..., Asker], digest: str, database: Database
) -> None:
    asker = make(public_read=False)
    reader, writer = (new_session(database, scope)[1] for scope in ("read", "jobs:write"))
    for path in paths(digest):
        answers = [asker.get(path, cookie=f"theme=dark; imago_session={reader}") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert "age" in answers[2].headers
        for answer in answers:
            assert answer.headers["cache-control"] in ("private, no-cache", "no-cache, private")
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert "access-control-allow-origin" not in answer.headers
            assert "Cookie" in answer.headers["vary"]
            assert "set-cookie" not in answer.headers
        for cookie in ("imago_session=", f"imago_session={reader[:-1]}~", f"__Host-imago_session={reader}"):
            assert asker.get(path, cookie=cookie).status == 401, cookie
        assert asker.get(path, cookie=f"imago_session={writer}").status == 403
        assert asker.get(path).status == 401
        # A page of another origin of the same site, to which browsers send the cookie.
        cookie = f"imago_session={reader}"
        assert asker.get(path, cookie=cookie, sec_fetch_site="same-site").status == 401
        # The cookie's value is no key, and nothing else is.
        assert asker.get(path, authorization=f"Bearer {reader}").status == 401


def test_who_signs_out_reads_nothing_from_memory_any_more(
    make: Callable[..., Asker], digest: str, database: Database
) -> None:
    asker, path = make(public_read=False), f"/v1/visualizations/{digest}"
    _, token = new_session(database, "read")
    cookie = f"imago_session={token}"
    assert [asker.get(path, cookie=cookie).status for _ in range(2)] == [200, 200]
    left = asker.get(
        "/signout", "POST", cookie=cookie, sec_fetch_site="same-origin", x_csrf_token=token_of(token)
    )
    assert left.status == 303
    assert asker.get(path, cookie=cookie).status == 401


def test_what_anyone_may_read_comes_from_memory_beside_a_cookie_and_stays_open_to_others(
    make: Callable[..., Asker], digest: str, database: Database
) -> None:
    asker, path = make(), f"/v1/visualizations/{digest}/image"
    _, token = new_session(database, "read")
    signed_in = [asker.get(path, cookie=f"imago_session={token}") for _ in range(2)]
    anyone = [asker.get(path, origin="https://other.example.org") for _ in range(2)]
    for answers in (signed_in, anyone):
        assert "age" in answers[1].headers
        assert answers[1].headers["cross-origin-resource-policy"] == "cross-origin"
        assert answers[1].headers["cache-control"].startswith("public")
    assert "access-control-allow-origin" not in signed_in[1].headers
    assert anyone[1].headers["access-control-allow-origin"] == "*"
