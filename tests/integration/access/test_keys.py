"""Keys: shown once, kept as hashes, refused when they are wrong, expired or revoked."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from services.access import keys
from services.access.tables import ApiKeyRow
from services.base.database import Database
from services.base.errors import Invalid, NotFound, Unauthenticated


def test_a_key_is_known_by_its_token_and_kept_as_a_hash(staged: Database) -> None:
    with staged.session() as session:
        key, token = keys.create_key(session, " notebook ", ["jobs:write", "read"])
    assert token.startswith(f"imago_{key.id}_")
    assert len(token.removeprefix(f"{key.prefix}_")) == 43
    with staged.session() as session:
        principal = keys.authenticate(session, token)
        stored = session.execute(text("SELECT to_jsonb(api_keys)::text FROM api_keys")).scalar_one()
    assert principal == keys.Principal(key.id, "notebook", frozenset({"read", "jobs:write"}))
    assert token.removeprefix(f"{key.prefix}_") not in stored


def test_what_is_not_a_known_key_is_refused(staged: Database) -> None:
    with staged.session() as session:
        key, token = keys.create_key(session, "k", ["read"])
    wrong = [
        "",
        "imago",
        token[:-1],
        token + "x",
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        token.replace(key.id, "00000000"),
        token.upper(),
        "imago_" + key.id + "_" + "\0" * 43,
    ]
    for guess in wrong:
        with pytest.raises(Unauthenticated), staged.session() as session:
            keys.authenticate(session, guess)


def test_an_expired_and_a_revoked_key_are_refused(staged: Database) -> None:
    with staged.session() as session:
        late_key, late = keys.create_key(
            session, "late", ["read"], expires_at=datetime.now(UTC) + timedelta(hours=1)
        )
        session.get_one(ApiKeyRow, late_key.id).expires_at = datetime.now(UTC) - timedelta(seconds=1)
        _, valid = keys.create_key(
            session, "valid", ["read"], expires_at=datetime.now(UTC) + timedelta(hours=1)
        )
        key, revoked = keys.create_key(session, "revoked", ["read"])
        first = keys.revoke_key(session, key.id)
    with staged.session() as session:
        assert keys.revoke_key(session, key.id).revoked_at == first.revoked_at
        assert keys.authenticate(session, valid).name == "valid"
        with pytest.raises(Unauthenticated, match="expired at"):
            keys.authenticate(session, late)
        with pytest.raises(Unauthenticated, match="revoked at"):
            keys.authenticate(session, revoked)
        with pytest.raises(NotFound):
            keys.revoke_key(session, "nothing0")


def test_use_is_noted(staged: Database) -> None:
    with staged.session() as session:
        _, token = keys.create_key(session, "k", ["read"])
        assert keys.list_keys(session)[0].last_used_at is None
    with staged.session() as session:
        keys.authenticate(session, token)
    with staged.session() as session:
        used = keys.list_keys(session)[0].last_used_at
        keys.authenticate(session, token)
    assert used is not None
    with staged.session() as session:
        assert keys.list_keys(session)[0].last_used_at == used


@pytest.mark.parametrize(
    ("name", "scopes", "pointer"),
    [
        ("", ["read"], "/name"),
        ("k", [], "/scopes"),
        ("k", ["read", "root"], "/scopes"),
        ("k" * 101, ["read"], "/name"),
    ],
)
def test_a_key_needs_a_name_and_known_scopes(
    staged: Database, name: str, scopes: list[str], pointer: str
) -> None:
    with pytest.raises(Invalid, match=pointer), staged.session() as session:
        keys.create_key(session, name, scopes)
    with pytest.raises(Invalid, match="/expires_at"), staged.session() as session:
        keys.create_key(session, "k", ["read"], expires_at=datetime(2030, 1, 1))
    with pytest.raises(Invalid, match="future"), staged.session() as session:
        keys.create_key(session, "k", ["read"], expires_at=datetime(2001, 1, 1, tzinfo=UTC))
