"""The lease of work beside the queue: claim it, keep it, end it. Only the database's clock counts.

A claim takes rows of one kind under one increasing number, its fence; whatever is reported changes only rows
that still carry it, so a worker that lost its claim, or reports twice, changes nothing.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

Kind = Literal["repair", "scrub", "collect"]

MAX_ATTEMPTS = 3
"""Times that something may fail by its own fault."""
CRASHES_ALONE = 3
"""Deaths of workers, each while they had this and nothing else in hand, after which it is given up."""
_BACKOFF_SECONDS = 30
_LOOK_AGAIN_SECONDS = 86_400
"""What was given up is looked at this often: the store may have found it again."""


@dataclass(frozen=True)
class Task:
    """One thing of a claim. `given_up`: it is only to be looked at."""

    subject: str
    payload: Mapping[str, Any]
    given_up: bool


@dataclass(frozen=True)
class WorkClaim:
    """Tasks of one kind under a lease of `lease_seconds`."""

    kind: Kind
    fence: int
    tasks: tuple[Task, ...]


_PLAN = text("""
    INSERT INTO work (kind, subject) VALUES (:kind, :subject) ON CONFLICT (kind, subject) DO NOTHING
""")
_DUE = text("""
    SELECT subject, crash_count FROM work
    WHERE kind = :kind AND worker_id IS NULL AND not_before <= now()
    ORDER BY not_before LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
_TAKE = text("""
    UPDATE work SET worker_id = :worker, fence = :fence,
        expires_at = clock_timestamp() + make_interval(secs => :seconds)
    WHERE kind = :kind AND subject = ANY(CAST(:subjects AS text[]))
    RETURNING subject, payload, given_up
""")
_NEXT_FENCE = text("SELECT nextval('work_fences')")
_RENEW = text("""
    UPDATE work SET expires_at = clock_timestamp() + make_interval(secs => :seconds)
    WHERE fence = :fence AND worker_id IS NOT NULL RETURNING subject
""")
_HOLD = text("""
    SELECT subject FROM work WHERE fence = :fence AND worker_id IS NOT NULL
    AND subject = ANY(CAST(:subjects AS text[])) ORDER BY subject FOR UPDATE
""")
_DONE = text("""
    DELETE FROM work WHERE fence = :fence AND worker_id IS NOT NULL
    AND subject = ANY(CAST(:subjects AS text[])) RETURNING subject
""")
_RELEASE = text("""
    UPDATE work SET worker_id = NULL, expires_at = NULL,
        not_before = clock_timestamp() + make_interval(secs => :seconds),
        payload = payload || CAST(:payload AS jsonb)
    WHERE fence = :fence AND worker_id IS NOT NULL
    AND (CAST(:subjects AS text[]) IS NULL OR subject = ANY(CAST(:subjects AS text[])))
    RETURNING subject
""")
_FAIL = text("""
    UPDATE work SET worker_id = NULL, expires_at = NULL, attempt = attempt + 1,
        given_up = :final OR attempt + 1 >= :attempts,
        error = jsonb_build_object('code', CAST(:code AS text), 'message', CAST(:message AS text)),
        not_before = clock_timestamp() + make_interval(secs => CASE
            WHEN :final OR attempt + 1 >= :attempts THEN :again ELSE :backoff * power(4, attempt) END)
    WHERE fence = :fence AND worker_id IS NOT NULL AND subject = :subject RETURNING given_up
""")
# Rows that someone just renews or ends are locked, and not expired any more by the next round.
_RECLAIM = text("""
    UPDATE work SET worker_id = NULL, expires_at = NULL, crash_count = least(crash_count + 1, 100),
        given_up = given_up OR kind = 'repair' AND crash_count + 1 >= :crashes,
        error = CASE WHEN kind = 'repair' AND crash_count + 1 >= :crashes THEN jsonb_build_object(
            'code', 'poisoned', 'message', CAST(:message AS text)) ELSE error END,
        not_before = clock_timestamp() + make_interval(secs =>
            CASE WHEN kind = 'repair' THEN 5 * power(4, least(crash_count, 6)) ELSE 0 END)
    WHERE (kind, subject) IN (
        SELECT kind, subject FROM work WHERE worker_id IS NOT NULL AND expires_at < clock_timestamp()
        ORDER BY kind, subject LIMIT 1000 FOR UPDATE SKIP LOCKED
    )
    RETURNING subject
""")


def plan(session: Session, kind: Kind, subject: str) -> None:
    """Have something done; nothing happens if it is planned already."""
    session.execute(_PLAN, {"kind": kind, "subject": subject})


def claim(
    session: Session, kind: Kind, worker_id: str, *, limit: int = 1, lease_seconds: float
) -> WorkClaim | None:
    """Take what is due, the longest first; None if nothing is. Nobody is waited for.

    What was in hand when a worker died is taken alone, so that it can only harm itself.
    """
    due = session.execute(_DUE, {"kind": kind, "limit": limit}).all()
    if not due:
        return None
    chosen = due[:1] if due[0].crash_count else [row for row in due if not row.crash_count]
    fence = session.execute(_NEXT_FENCE).scalar_one()
    taken = {
        "kind": kind,
        "worker": worker_id,
        "fence": fence,
        "seconds": lease_seconds,
        "subjects": [row.subject for row in chosen],
    }
    rows = session.execute(_TAKE, taken).all()
    return WorkClaim(kind, fence, tuple(Task(row.subject, row.payload, row.given_up) for row in rows))


def renew(session: Session, fence: int, *, lease_seconds: float) -> bool:
    """Renew the lease from now on; False if it has ended."""
    return bool(session.execute(_RENEW, {"fence": fence, "seconds": lease_seconds}).all())


def hold(session: Session, fence: int, subjects: Collection[str]) -> set[str]:
    """Lock those of the subjects that the claim still has, and return them."""
    return set(session.scalars(_HOLD, {"fence": fence, "subjects": list(subjects)}))


def done(session: Session, fence: int, subjects: Collection[str]) -> set[str]:
    """Strike what is done; returns those that the claim still had."""
    return set(session.scalars(_DONE, {"fence": fence, "subjects": list(subjects)}))


def release(
    session: Session,
    fence: int,
    subjects: Collection[str] | None = None,
    *,
    after_seconds: float = 0,
    payload: Mapping[str, Any] | None = None,
) -> set[str]:
    """Give back, by default all that the claim has, at no charge: it is due again after so many seconds.

    Members of `payload` replace those there are. Returns what the claim still had.
    """
    given = {
        "fence": fence,
        "subjects": None if subjects is None else list(subjects),
        "seconds": after_seconds,
        "payload": json.dumps(payload or {}),
    }
    return set(session.scalars(_RELEASE, given))


def fail(
    session: Session, fence: int, subject: str, code: str, message: str, *, final: bool = False
) -> bool | None:
    """Charge an attempt: it is tried again later, and given up when it is the last one, or `final`.

    Returns whether it is given up; None if the claim does not have it any more.
    """
    charged = {
        "fence": fence,
        "subject": subject,
        "code": code,
        "message": message,
        "final": final,
        "attempts": MAX_ATTEMPTS,
        "backoff": _BACKOFF_SECONDS,
        "again": _LOOK_AGAIN_SECONDS,
    }
    row = session.execute(_FAIL, charged).first()
    return None if row is None else bool(row.given_up)


def reclaim(session: Session) -> int:
    """Free what dead workers had; returns how many tasks were freed.

    A repair that kills its worker each time it is tried alone is given up as `poisoned`.
    """
    message = (
        f"The worker died each time it made this again, {CRASHES_ALONE} times while it made nothing else."
    )
    return len(session.execute(_RECLAIM, {"crashes": 1 + CRASHES_ALONE, "message": message}).all())
