"""Browser sessions: what a browser keeps in a cookie instead of the key that was typed into the sign-in page.

The cookie's value is random and only its SHA-256 is kept here, so that neither the browser's disk nor the
database tells a key. A session can do what its key can. It ends a week after its last use, a month after it
began, when its key is revoked or expires, or when somebody signs out.
"""

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.access import keys
from services.access.keys import Principal
from services.access.tables import ApiKeyRow, BrowserSessionRow
from services.base.errors import Unauthenticated

IDLE = timedelta(days=7)
"""A session that is not used for so long has ended."""
LONGEST = timedelta(days=30)
"""However much it is used, it ends so long after it began."""
MOST_OF_A_KEY = 50
"""The oldest ones of a key end when there are more: nobody can fill the table by signing in."""
_NOTED_EVERY = timedelta(hours=1)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_ENDED = "You are signed out: the session has ended. Sign in again."


@dataclass(frozen=True)
class BrowserSession:
    """A session that has just begun. `token` is the cookie's value, which cannot be had again."""

    token: str
    principal: Principal
    lasts: timedelta
    """At most; unused it ends earlier."""


def begin(session: Session, key: str) -> BrowserSession:
    """Sign in with a key, as it is sent to the API. Raises `Unauthenticated` as `keys.authenticate` does."""
    principal = keys.authenticate(session, key)
    # The key first, then its sessions, as when it is revoked: else the two could wait for each other.
    session.execute(
        sa.select(ApiKeyRow.id)
        .where(ApiKeyRow.id == principal.key_id)
        .with_for_update(read=True, key_share=True)
    )
    _forget_ended(session, principal.key_id)
    token = secrets.token_urlsafe(32)
    now: datetime = session.execute(sa.select(sa.func.now())).scalar_one()
    row = BrowserSessionRow(
        token_sha256=digest_of(token),
        key_id=principal.key_id,
        created_at=now,
        last_used_at=now,
        expires_at=now + IDLE,
    )
    session.add(row)
    session.flush()
    lasts = LONGEST if principal.expires_at is None else min(LONGEST, principal.expires_at - now)
    return BrowserSession(token, _until_its_end(principal, row), lasts)


def authenticate(session: Session, token: str) -> Principal:
    """Whose session this is; `expires_at` says until when it is certain. Raises `Unauthenticated` when it has
    ended, or its key was revoked or has expired.

    Notes at most once an hour that it was used, which also moves its end.
    """
    found = None
    if _TOKEN.fullmatch(token):
        query = sa.select(BrowserSessionRow, ApiKeyRow, sa.func.now()).join(ApiKeyRow)
        found = session.execute(query.where(BrowserSessionRow.token_sha256 == digest_of(token))).first()
    if found is None:
        raise Unauthenticated(_ENDED)
    row, key, now = found
    if row.expires_at <= now:
        raise Unauthenticated(_ENDED)
    principal = _until_its_end(keys.admit(session, key), row)
    if now - row.last_used_at >= _NOTED_EVERY:
        _note_use(session, row, now)
    return principal


def end(session: Session, token: str) -> None:
    """Sign out. Nothing happens where the session has ended already."""
    session.execute(sa.delete(BrowserSessionRow).where(BrowserSessionRow.token_sha256 == digest_of(token)))


def end_others(session: Session, key_id: str, token: str | None) -> None:
    """Sign out wherever else a key is signed in; everywhere where `token` is None."""
    others = sa.delete(BrowserSessionRow).where(BrowserSessionRow.key_id == key_id)
    if token is not None:
        others = others.where(BrowserSessionRow.token_sha256 != digest_of(token))
    session.execute(others)


def count(session: Session, key_id: str) -> int:
    """How many sessions of a key have not ended."""
    query = sa.select(sa.func.count()).select_from(BrowserSessionRow)
    mine = query.where(BrowserSessionRow.key_id == key_id, BrowserSessionRow.expires_at > sa.func.now())
    return session.execute(mine).scalar_one()


def open_among(session: Session, digests: Collection[str]) -> set[str]:
    """Those of these sessions that have not ended, each named by its `digest_of`. Notes no use of them."""
    query = sa.select(BrowserSessionRow.token_sha256).where(
        BrowserSessionRow.token_sha256.in_(digests), BrowserSessionRow.expires_at > sa.func.now()
    )
    return set(session.scalars(query))


def digest_of(token: str) -> str:
    """What names a session to those who need not be able to use it."""
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(token.encode()).hexdigest()


def _until_its_end(principal: Principal, row: BrowserSessionRow) -> Principal:
    ends = [row.expires_at, *([principal.expires_at] if principal.expires_at else [])]
    return replace(principal, expires_at=min(ends))


def _note_use(session: Session, row: BrowserSessionRow, now: datetime) -> None:
    # SKIP LOCKED: pictures of one page are asked for at the same time and must not wait for each other.
    unnoted = (
        sa.select(BrowserSessionRow.token_sha256)
        .where(
            BrowserSessionRow.token_sha256 == row.token_sha256,
            BrowserSessionRow.last_used_at == row.last_used_at,
        )
        .with_for_update(skip_locked=True)
    )
    session.execute(
        sa.update(BrowserSessionRow)
        .where(BrowserSessionRow.token_sha256.in_(unnoted.scalar_subquery()))
        .values(last_used_at=now, expires_at=min(now + IDLE, row.created_at + LONGEST))
        .execution_options(synchronize_session=False)
    )


def _forget_ended(session: Session, key_id: str) -> None:
    """Remove sessions that have ended, and the oldest of a key that has too many."""
    rows = BrowserSessionRow
    newest = sa.select(rows.token_sha256).where(rows.key_id == key_id).order_by(rows.created_at.desc())
    kept = newest.limit(MOST_OF_A_KEY - 1).scalar_subquery()
    too_many = sa.and_(rows.key_id == key_id, rows.token_sha256.not_in(kept))
    gone = sa.select(rows.token_sha256).where(sa.or_(rows.expires_at <= sa.func.now(), too_many))
    # SKIP LOCKED: who signs in at the same time removes the same ones, in another order.
    removed = gone.with_for_update(skip_locked=True).scalar_subquery()
    session.execute(
        sa.delete(rows).where(rows.token_sha256.in_(removed)).execution_options(synchronize_session=False)
    )
