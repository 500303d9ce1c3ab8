"""Chores: kinds of work beside the pictures, whose things to be done are rows of `work`.

A claim takes rows of one kind under one lease; whatever is reported changes only rows that it still holds.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.queue import leases
from services.queue.crash_rule import CRASH_RULE, poisoned_message
from services.queue.kinds import PUT_OFF, TakenBack
from services.queue.leases import Outcome

ChoreName = Literal[
    "repair",
    "scrub",
    "collect",
    "expand",
    "index",
    "sheet",
    "map",
    "scan",
    "export",
    "import",
    "compare",
    "look",
]
_ROUNDS: frozenset[ChoreName] = frozenset({"scrub", "collect"})
"""Rounds go on for ever: one that a worker died in is nobody's fault."""
_ENDED_BY_CLAIM: frozenset[ChoreName] = frozenset({"scan"})
"""Whoever claims one that was given up says so to people, and strikes it off."""
_DOING: dict[ChoreName, str] = {"repair": "made this again", "look": "looked at this network"}

MAX_ATTEMPTS = 3
"""Times that something may fail by its own fault."""
_BACKOFF_SECONDS = 30
LOOK_AGAIN_SECONDS = 86_400
"""What was given up is looked at this often: the store may have found it again."""


@dataclass(frozen=True)
class Task:
    """One thing of a claim. `given_up`: it is only to be looked at."""

    subject: str
    payload: Mapping[str, Any]
    given_up: bool


@dataclass(frozen=True)
class WorkClaim:
    """Tasks of one kind under a lease."""

    kind: ChoreName
    lease_id: int
    tasks: tuple[Task, ...]


_PLAN = text("""
    INSERT INTO work (kind, subject, payload, not_before)
    VALUES (:kind, :subject, CAST(:payload AS jsonb), now() + make_interval(secs => :seconds))
    ON CONFLICT (kind, subject) DO NOTHING
""")
_HASTEN = text(f"""
    INSERT INTO work (kind, subject, payload) VALUES (:kind, :subject, '{{}}')
    ON CONFLICT (kind, subject) DO UPDATE
    SET not_before = now(), attempt = 0, crash_count = 0, given_up = false, error = NULL,
        payload = work.payload - '{PUT_OFF}'
""")
_UNPLAN = text("DELETE FROM work WHERE kind = :kind AND subject = :subject")
_OUTLOOK = text("""
    SELECT NOT given_up AS coming, error ->> 'message' AS problem FROM work
    WHERE kind = :kind AND subject = :subject
""")
_PROBLEMS = text("""
    SELECT subject, error ->> 'message' AS message FROM work
    WHERE kind = :kind AND subject = ANY(CAST(:subjects AS text[])) AND error IS NOT NULL
""")
_WAITING = text("""
    SELECT count(*) FROM (SELECT FROM work WHERE kind = :kind AND NOT given_up LIMIT :most) AS waiting
""")
_DUE = text("""
    SELECT subject, crash_count FROM work
    WHERE kind = :kind AND lease_id IS NULL AND not_before <= now()
    ORDER BY not_before LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
# Whoever cannot go on with it puts it off anew.
_TAKE = text(f"""
    UPDATE work SET lease_id = :lease, payload = payload - '{PUT_OFF}'
    WHERE kind = :kind AND subject = ANY(CAST(:subjects AS text[]))
    RETURNING subject, payload, given_up
""")
_HOLD = text("""
    SELECT subject FROM work WHERE lease_id = :lease
    AND subject = ANY(CAST(:subjects AS text[])) ORDER BY subject FOR UPDATE
""")
_DONE = text("""
    DELETE FROM work WHERE lease_id = :lease
    AND subject = ANY(CAST(:subjects AS text[])) RETURNING subject
""")
_RELEASE = text("""
    UPDATE work SET lease_id = NULL,
        not_before = clock_timestamp() + make_interval(secs => :seconds),
        payload = payload || CAST(:payload AS jsonb)
    WHERE lease_id = :lease
    AND (CAST(:subjects AS text[]) IS NULL OR subject = ANY(CAST(:subjects AS text[])))
    RETURNING subject
""")
_WENT_ON = text("""
    UPDATE work SET attempt = 0, crash_count = 0, given_up = false, error = NULL
    WHERE lease_id = :lease AND subject = :subject
    AND (attempt > 0 OR crash_count > 0 OR given_up OR error IS NOT NULL)
""")
_FAIL = text("""
    UPDATE work SET lease_id = NULL, attempt = attempt + 1,
        given_up = :final OR attempt + 1 >= :attempts,
        error = jsonb_build_object('code', CAST(:code AS text), 'message', CAST(:message AS text)),
        not_before = clock_timestamp() + make_interval(secs => CASE
            WHEN :final OR attempt + 1 >= :attempts THEN :again ELSE :backoff * power(4, attempt) END)
    WHERE lease_id = :lease AND subject = :subject RETURNING given_up
""")
_HOLDS_MORE = text("SELECT FROM work WHERE lease_id = :lease LIMIT 1")
_LOCK_HELD = text("""
    SELECT FROM work WHERE lease_id = ANY(CAST(:leases AS bigint[])) ORDER BY kind, subject FOR UPDATE
""")
_TAKE_BACK = text(f"""
    UPDATE work w SET lease_id = NULL, crash_count = crash.crashes,
        given_up = old.given_up OR :judged AND crash.poisoned,
        error = CASE WHEN :judged AND crash.poisoned THEN jsonb_build_object(
            'code', 'poisoned', 'message', CAST(:message AS text)) ELSE old.error END,
        not_before = clock_timestamp() + CASE WHEN NOT :judged THEN interval '0'
            WHEN crash.poisoned THEN make_interval(secs => :again) ELSE crash.wait END
    FROM work old {CRASH_RULE}
    WHERE (w.kind, w.subject) = (old.kind, old.subject) AND old.lease_id = ANY(CAST(:leases AS bigint[]))
    RETURNING w.given_up
""")


def plan(
    session: Session,
    kind: ChoreName,
    subject: str,
    payload: Mapping[str, Any] | None = None,
    *,
    after_seconds: float = 0,
) -> None:
    """Have something done, in so many seconds at the earliest; nothing happens if it is planned already."""
    planned = {"kind": kind, "subject": subject, "payload": json.dumps(payload or {})}
    session.execute(_PLAN, {**planned, "seconds": after_seconds})


def hasten(session: Session, kind: ChoreName, subject: str) -> None:
    """Have something done now, with all its attempts, whether or not it was planned. Locks its row: nobody
    who has it in hand can strike it off before the caller's transaction ends."""
    session.execute(_HASTEN, {"kind": kind, "subject": subject})


def unplan(session: Session, kind: ChoreName, subject: str) -> None:
    """Have it done no more; whoever has it in hand finds that its lease holds it no longer."""
    session.execute(_UNPLAN, {"kind": kind, "subject": subject})


@dataclass(frozen=True)
class Outlook:
    """What becomes of something. coming: it is planned, and not given up. problem: why workers could not go
    on with it the last time, for people; None where they could."""

    coming: bool
    problem: str | None


PLANNED = Outlook(coming=True, problem=None)
"""Of what was planned just now."""


def outlook(session: Session, kind: ChoreName, subject: str) -> Outlook:
    """What becomes of something; nothing where it is not planned."""
    row = session.execute(_OUTLOOK, {"kind": kind, "subject": subject}).first()
    return Outlook(coming=False, problem=None) if row is None else Outlook(row.coming, row.problem)


def problem(session: Session, kind: ChoreName, subject: str) -> str | None:
    """Why workers could not go on with it the last time, for people; None where they could."""
    return problems(session, kind, [subject]).get(subject)


def problems(session: Session, kind: ChoreName, subjects: Sequence[str]) -> dict[str, str]:
    """The same of several, those with which workers could go on left out."""
    found = session.execute(_PROBLEMS, {"kind": kind, "subjects": [*subjects]})
    return {row.subject: str(row.message) for row in found}


def waiting(session: Session, kind: ChoreName, most: int) -> int:
    """How many things of a kind are to be done or being done, counted up to `most`; without what was given
    up."""
    count: int = session.execute(_WAITING, {"kind": kind, "most": most}).scalar_one()
    return count


def claim(
    session: Session, kind: ChoreName, worker_id: str, *, limit: int = 1, lease_seconds: float
) -> WorkClaim | None:
    """Take what is due, the longest first; None if nothing is. Nobody is waited for.

    What was in hand when a worker died is taken alone, so that it can only harm itself.
    """
    due = session.execute(_DUE, {"kind": kind, "limit": limit}).all()
    if not due:
        return None
    chosen = due[:1] if due[0].crash_count else [row for row in due if not row.crash_count]
    lease_id = leases.open_lease(session, kind, worker_id, lease_seconds=lease_seconds, items=len(chosen))
    taken = {"kind": kind, "lease": lease_id, "subjects": [row.subject for row in chosen]}
    rows = session.execute(_TAKE, taken).all()
    return WorkClaim(kind, lease_id, tuple(Task(row.subject, row.payload, row.given_up) for row in rows))


def hold(session: Session, lease_id: int, subjects: Collection[str]) -> set[str]:
    """Lock the lease, then those of the subjects that it still holds, and return these."""
    if not leases.hold(session, lease_id):
        return set()
    return set(session.scalars(_HOLD, {"lease": lease_id, "subjects": list(subjects)}))


def done(session: Session, lease_id: int, subjects: Collection[str]) -> set[str]:
    """Strike what is done; returns those that the lease still held."""
    if not leases.hold(session, lease_id):
        return set()
    ended = set(session.scalars(_DONE, {"lease": lease_id, "subjects": list(subjects)}))
    if ended:
        leases.settle(session, lease_id, len(ended))
    _close_if_empty(session, lease_id)
    return ended


def release(
    session: Session,
    lease_id: int,
    subjects: Collection[str] | None = None,
    *,
    after_seconds: float = 0,
    payload: Mapping[str, Any] | None = None,
    outcome: Outcome = "finished",
) -> set[str]:
    """Give back, by default all that the lease holds, at no charge: it is due again after so many seconds.

    Members of `payload` replace those there are. Returns what the lease still held.
    """
    if not leases.hold(session, lease_id):
        return set()
    given = {
        "lease": lease_id,
        "subjects": None if subjects is None else list(subjects),
        "seconds": after_seconds,
        "payload": json.dumps(payload or {}),
    }
    freed = set(session.scalars(_RELEASE, given))
    _close_if_empty(session, lease_id, outcome)
    return freed


def put_off(
    session: Session, lease_id: int, *, seconds: float, payload: Mapping[str, Any] | None = None
) -> set[str]:
    """Give back, at no charge, what no worker can go on with until something else has changed: somebody looks
    again in so many seconds, and no training is interrupted for that. `payload` and what is returned as in
    `release`."""
    return release(session, lease_id, after_seconds=seconds, payload={PUT_OFF: True, **(payload or {})})


def went_on(session: Session, lease_id: int, subject: str) -> None:
    """Forget the attempts and the crashes that it was charged: it has come further since, for good. Call it
    with what is held, in the transaction that takes it further."""
    session.execute(_WENT_ON, {"lease": lease_id, "subject": subject})


def fail(
    session: Session, lease_id: int, subject: str, code: str, message: str, *, final: bool = False
) -> bool | None:
    """Charge an attempt: it is tried again later, and given up when it is the last one, or `final`.

    Returns whether it is given up; None if the lease does not hold it any more.
    """
    if not leases.hold(session, lease_id):
        return None
    charged = {
        "lease": lease_id,
        "subject": subject,
        "code": code,
        "message": message,
        "final": final,
        "attempts": MAX_ATTEMPTS,
        "backoff": _BACKOFF_SECONDS,
        "again": LOOK_AGAIN_SECONDS,
    }
    row = session.execute(_FAIL, charged).first()
    _close_if_empty(session, lease_id)
    return None if row is None else bool(row.given_up)


def _close_if_empty(session: Session, lease_id: int, outcome: Outcome = "finished") -> None:
    if session.execute(_HOLDS_MORE, {"lease": lease_id}).first() is None:
        leases.close(session, lease_id, outcome=outcome)


class Chore:
    """One of the kinds of work whose things are rows of `work`. What is given back is due again after
    `rest_seconds`."""

    def __init__(self, name: ChoreName, *, rest_seconds: float = 0) -> None:
        self.name = name
        self._rest_seconds = rest_seconds

    def canceled(self, session: Session, lease_id: int) -> frozenset[str]:
        return frozenset()

    def give_back(self, session: Session, lease_id: int) -> None:
        release(session, lease_id, after_seconds=self._rest_seconds, outcome="released")

    def resting(self, seconds: float) -> "Chore":
        """The same kind, of which what is given back is due again after so many seconds."""
        return Chore(self.name, rest_seconds=seconds)

    def take_back(self, session: Session, lease_ids: Sequence[int]) -> TakenBack:
        """What kills its worker each time it is tried alone is given up as `poisoned`, and left alone as
        long as all that was given up; rounds go on for ever."""
        given = {
            "leases": list(lease_ids),
            "judged": self.name not in _ROUNDS,
            "message": poisoned_message(_DOING.get(self.name, "was at this")),
            "again": 0 if self.name in _ENDED_BY_CLAIM else LOOK_AGAIN_SECONDS,
        }
        session.execute(_LOCK_HELD, given)
        given_up = list(session.scalars(_TAKE_BACK, given))
        return TakenBack(queued=len(given_up) - sum(given_up), poisoned=sum(given_up))


CHORES: dict[ChoreName, Chore] = {name: Chore(name) for name in get_args(ChoreName)}
