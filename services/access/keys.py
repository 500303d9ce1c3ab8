"""API keys: who may do what. A key's secret is shown once and kept as its SHA-256."""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.access.tables import ApiKeyRow, BrowserSessionRow
from services.base.errors import Invalid, NotFound, Unauthenticated
from services.base.times import not_in_the_future

SCOPES = ("read", "jobs:write", "admin")
_ALPHABET = string.ascii_lowercase + string.digits
_TOKEN = re.compile(r"imago_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")
_NO_SUCH_SECRET = "0" * 64


@dataclass(frozen=True)
class Principal:
    """Who asks."""

    key_id: str
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None = None


@dataclass(frozen=True)
class KeyView:
    """A key without its secret; `prefix` is how its token begins."""

    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


def create_key(
    session: Session, name: str, scopes: Collection[str], *, expires_at: datetime | None = None
) -> tuple[KeyView, str]:
    """Add a key; returns it and its token, `imago_<8-character id>_<secret>`, which cannot be had again.

    Raises `Invalid` for an empty name, an unknown scope, or an expiry that is past or has no
    time zone. Takes effect when the transaction commits.
    """
    if not name.strip() or len(name) > 100:
        raise Invalid.field("/name", "must have 1 to 100 characters")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        got = repr(unknown[0]) if unknown else "none"
        raise Invalid.field("/scopes", f"must be one or more of {', '.join(SCOPES)}; got {got}")
    if expires_at is not None and expires_at.tzinfo is None:
        raise Invalid.field("/expires_at", "must have a time zone, as in 2030-01-01T00:00:00Z")
    if expires_at is not None and (past := not_in_the_future(expires_at)):
        raise Invalid.field("/expires_at", past)
    id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    row = ApiKeyRow(
        id=id,
        name=name.strip(),
        prefix=f"imago_{id}",
        secret_sha256=_hash(secret),
        scopes=[scope for scope in SCOPES if scope in scopes],
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    return _view(row), f"imago_{id}_{secret}"


def authenticate(session: Session, token: str) -> Principal:
    """Who holds this token. Raises `Unauthenticated` when it is unknown, revoked or expired.

    Notes at most once a minute that the key was used, so that a busy key is not a contended row.
    """
    match = _TOKEN.fullmatch(token)
    row = session.get(ApiKeyRow, match[1]) if match else None
    secret = match[2] if match else ""
    # Compared even where there is no such key: the time to answer must not tell which ids exist.
    known = hmac.compare_digest(_hash(secret), row.secret_sha256 if row else _NO_SUCH_SECRET)
    if row is None or not known:
        raise Unauthenticated("This key is not known. A key looks like imago_<8 characters>_<43 characters>.")
    return admit(session, row)


def admit(session: Session, row: ApiKeyRow) -> Principal:
    """Whom this key stands for, once its holder is known. Raises `Unauthenticated` when it is revoked or
    expired; notes its use as `authenticate` says."""
    now: datetime = session.execute(sa.select(sa.func.now())).scalar_one()
    if row.revoked_at is not None:
        raise Unauthenticated(f"The key {row.name!r} was revoked at {row.revoked_at.isoformat()}.")
    if row.expires_at is not None and row.expires_at <= now:
        raise Unauthenticated(f"The key {row.name!r} expired at {row.expires_at.isoformat()}.")
    stale = sa.or_(
        ApiKeyRow.last_used_at.is_(None),
        ApiKeyRow.last_used_at < sa.func.now() - sa.text("interval '1 minute'"),
    )
    # SKIP LOCKED: two requests with one key must not wait for each other to note the same minute.
    unnoted = sa.select(ApiKeyRow.id).where(ApiKeyRow.id == row.id, stale).with_for_update(skip_locked=True)
    session.execute(
        sa.update(ApiKeyRow)
        .where(ApiKeyRow.id.in_(unnoted.scalar_subquery()))
        .values(last_used_at=sa.func.now())
        .execution_options(synchronize_session=False)
    )
    return Principal(row.id, row.name, frozenset(row.scopes), row.expires_at)


def valid_keys(session: Session, ids: Collection[str]) -> set[str]:
    """Those of these keys that are neither revoked nor expired."""
    query = sa.select(ApiKeyRow.id).where(
        ApiKeyRow.id.in_(ids),
        ApiKeyRow.revoked_at.is_(None),
        sa.or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > sa.func.now()),
    )
    return set(session.scalars(query))


def list_keys(session: Session) -> Sequence[KeyView]:
    """All keys, revoked ones too, the newest first."""
    rows = session.scalars(sa.select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id))
    return [_view(row) for row in rows]


def revoke_key(session: Session, key_id: str) -> KeyView:
    """Make a key useless from the commit on, and end its browser sessions; revoking again changes nothing.
    Raises `NotFound`."""
    row = session.get(ApiKeyRow, key_id, with_for_update=True)
    if row is None:
        raise NotFound("key", key_id)
    if row.revoked_at is None:
        row.revoked_at = session.execute(sa.select(sa.func.now())).scalar_one()
    session.execute(sa.delete(BrowserSessionRow).where(BrowserSessionRow.key_id == key_id))
    return _view(row)


def get_key(session: Session, key_id: str) -> KeyView:
    """A key. Raises `NotFound`."""
    row = session.get(ApiKeyRow, key_id)
    if row is None:
        raise NotFound("key", key_id)
    return _view(row)


def _hash(secret: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


def _view(row: ApiKeyRow) -> KeyView:
    return KeyView(
        row.id,
        row.name,
        row.prefix,
        tuple(row.scopes),
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.last_used_at,
    )
