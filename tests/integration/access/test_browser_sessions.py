"""Browser sessions: as good as their key, kept as hashes, with an end that use moves and nothing removes."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import text

from services.access import browser_sessions, keys
from services.access.browser_sessions import IDLE, LONGEST, MOST_OF_A_KEY
from services.access.tables import ApiKeyRow, BrowserSessionRow
from services.base.database import Database
from services.base.errors import Unauthenticated


def signed_in(database: Database, *scopes: str, expires_in: timedelta | None = None) -> tuple[str, str, str]:
    """The id of a key, its token, and the token of a session."""
    ends = None if expires_in is None else datetime.now(UTC) + expires_in
    with database.session() as session:
        key, token = keys.create_key(session, "laptop", scopes or ["read"], expires_at=ends)
    with database.session() as session:
        return key.id, token, browser_sessions.begin(session, token).token


def move(database: Database, **ago: timedelta) -> None:
    """Let the only session have begun, been used or ended so long ago."""
    with database.session() as session:
        now = session.execute(sa.select(sa.func.now())).scalar_one()
        session.execute(sa.update(BrowserSessionRow).values({name: now - by for name, by in ago.items()}))


def ends_at(database: Database) -> datetime:
    with database.session() as session:
        return session.scalars(sa.select(BrowserSessionRow.expires_at)).one()


def known(database: Database, token: str) -> keys.Principal:
    with database.session() as session:
        return browser_sessions.authenticate(session, token)


def test_a_session_can_do_what_its_key_can_and_tells_neither(staged: Database) -> None:
    key, key_token, token = signed_in(staged, "read", "jobs:write")
    principal = known(staged, token)
    assert (principal.key_id, principal.scopes) == (key, frozenset({"read", "jobs:write"}))
    with staged.session() as session:
        stored = session.execute(text("SELECT to_jsonb(browser_sessions)::text FROM browser_sessions"))
        row = stored.scalar_one()
    assert token not in row
    assert key_token not in row
    assert token not in key_token


@pytest.mark.parametrize("wrong", ["", "x", "A" * 43, "A" * 44, "\0" * 43])
def test_what_is_no_known_session_is_refused(staged: Database, wrong: str) -> None:
    signed_in(staged)
    with pytest.raises(Unauthenticated, match="Sign in again"):
        known(staged, wrong)


def test_signing_in_needs_a_key_that_is_valid(staged: Database) -> None:
    key, key_token, _ = signed_in(staged)
    with staged.session() as session:
        keys.revoke_key(session, key)
    for token in (key_token, "imago_aaaaaaaa_" + "b" * 43, ""):
        with pytest.raises(Unauthenticated), staged.session() as session:
            browser_sessions.begin(session, token)


def test_a_session_that_is_not_used_ends_after_a_week(staged: Database) -> None:
    _, _, token = signed_in(staged)
    assert ends_at(staged) - datetime.now(UTC) <= IDLE
    move(staged, expires_at=timedelta(seconds=1))
    with pytest.raises(Unauthenticated, match="ended"):
        known(staged, token)


def test_use_moves_the_end_at_most_once_an_hour_and_never_beyond_a_month(staged: Database) -> None:
    _, _, token = signed_in(staged)
    first = ends_at(staged)
    known(staged, token)
    assert ends_at(staged) == first
    move(staged, last_used_at=timedelta(hours=2))
    known(staged, token)
    assert first < ends_at(staged) <= datetime.now(UTC) + IDLE
    old = LONGEST - timedelta(days=1)
    move(staged, last_used_at=timedelta(hours=2), created_at=old)
    known(staged, token)
    left = ends_at(staged) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(days=1)


def test_a_session_ends_with_its_key(staged: Database) -> None:
    key, _, token = signed_in(staged, expires_in=timedelta(hours=1))
    until = known(staged, token).expires_at
    assert until is not None
    assert until - datetime.now(UTC) <= timedelta(hours=1)
    with staged.session() as session:
        session.get_one(ApiKeyRow, key).expires_at = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(Unauthenticated, match="expired"):
        known(staged, token)

    key, _, token = signed_in(staged)
    with staged.session() as session:
        # Without `revoke_key`, which also removes the sessions.
        session.get_one(ApiKeyRow, key).revoked_at = datetime.now(UTC)
    with pytest.raises(Unauthenticated, match="revoked"):
        known(staged, token)
    with staged.session() as session:
        keys.revoke_key(session, key)
        assert browser_sessions.count(session, key) == 0


def test_signing_out_ends_one_session_or_all_others(staged: Database) -> None:
    key, key_token, first = signed_in(staged)
    with staged.session() as session:
        second, third = (browser_sessions.begin(session, key_token).token for _ in range(2))
        assert browser_sessions.count(session, key) == 3
        browser_sessions.end(session, first)
    with pytest.raises(Unauthenticated):
        known(staged, first)
    known(staged, second)
    with staged.session() as session:
        browser_sessions.end_others(session, key, third)
    known(staged, third)
    with pytest.raises(Unauthenticated):
        known(staged, second)


def test_signing_in_again_and_again_fills_nothing(staged: Database) -> None:
    key, key_token, first = signed_in(staged)
    last = ""
    for _ in range(MOST_OF_A_KEY + 5):
        with staged.session() as session:
            last = browser_sessions.begin(session, key_token).token
    with staged.session() as session:
        assert browser_sessions.count(session, key) == MOST_OF_A_KEY
    known(staged, last)
    with pytest.raises(Unauthenticated):
        known(staged, first)


def test_sessions_that_have_ended_are_removed_when_somebody_signs_in(staged: Database) -> None:
    signed_in(staged)
    move(staged, expires_at=timedelta(seconds=1))
    signed_in(staged)
    with staged.session() as session:
        assert session.execute(sa.select(sa.func.count()).select_from(BrowserSessionRow)).scalar_one() == 1
