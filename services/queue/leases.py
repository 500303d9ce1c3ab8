"""The right of a worker to do something for a while: opened by a claim, renewed, closed. One table for every
kind of work.

What is claimed points to its lease by `lease_id`, and the increasing id is the fence: whoever reports
anything first locks the lease, and changes only rows that still point to it. A worker that lost its lease, or
reports twice, changes nothing. Only the database's clock counts.

Locks are taken in one order: the lease, then what it holds, then what follows from that.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

Outcome = Literal["finished", "released", "expired"]
KEPT_SECONDS = 7 * 86_400.0
"""How long leases of every kind are kept once they have ended, for people who ask what happened."""
FORGOTTEN_AT_ONCE = 10_000
HELD = "lease_id = ANY(ARRAY(SELECT id FROM leases WHERE ended_at IS NULL))"
"""The condition that a row is held, in SQL. It says what `lease_id IS NOT NULL` says, since what an ended
lease held points to it no more, but is found by the index even where nothing is known of the table yet: for
some minutes after a million rows were written the planner takes nearly all of them to be held, and reads them
all.
"""


@dataclass(frozen=True)
class Pulse:
    """`alive` is False once the lease has ended: then nothing of it can be finished any more. `canceled` are
    the names of what the lease holds and nobody wants any more.
    """

    alive: bool
    canceled: frozenset[str]


_OPEN = text("""
    INSERT INTO leases (kind, worker_id, items, expires_at)
    VALUES (:kind, :worker, :items, clock_timestamp() + make_interval(secs => :seconds)) RETURNING id
""")
_RENEW = text("""
    UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => :seconds),
        steps = greatest(steps, :steps)
    WHERE id = :lease AND ended_at IS NULL RETURNING id
""")
_HOLD = text("SELECT id FROM leases WHERE id = :lease AND ended_at IS NULL FOR NO KEY UPDATE")
_SETTLE = text("UPDATE leases SET settled = settled + :settled WHERE id = :lease")
_CLOSE = text("""
    UPDATE leases SET ended_at = clock_timestamp(), outcome = :outcome
    WHERE id = ANY(CAST(:leases AS bigint[])) AND ended_at IS NULL
""")
# A lease that someone just renews or finishes is locked and not expired any more by the next round.
_EXPIRED = text("""
    SELECT id FROM leases WHERE kind = :kind AND ended_at IS NULL AND expires_at < clock_timestamp()
    LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
_EXPIRED_KINDS = text("""
    SELECT DISTINCT kind FROM leases WHERE ended_at IS NULL AND expires_at < clock_timestamp()
""")
# While a lease is open, later ones of its worker tell whether it was alone: `services.queue.crash_rule`.
_FORGET = text("""
    DELETE FROM leases WHERE id IN (
        SELECT id FROM leases WHERE ended_at < clock_timestamp() - make_interval(secs => :seconds)
        AND NOT EXISTS (
            SELECT FROM leases held
            WHERE held.ended_at IS NULL AND held.worker_id = leases.worker_id AND held.id < leases.id
        )
        ORDER BY ended_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING id
""")
_OPEN_ONES = text("SELECT id FROM leases WHERE kind = :kind AND ended_at IS NULL ORDER BY id")


def open_lease(session: Session, kind: str, worker_id: str, *, lease_seconds: float, items: int = 1) -> int:
    """Open a lease of so many items; returns its id, which is greater than that of any lease before."""
    opened = {"kind": kind, "worker": worker_id, "items": items, "seconds": lease_seconds}
    return int(session.execute(_OPEN, opened).scalar_one())


def renew(session: Session, lease_id: int, *, lease_seconds: float, steps: int = 0) -> bool:
    """Let it last from now on, and note how many steps were made; False if it has ended."""
    renewal = {"lease": lease_id, "steps": steps, "seconds": lease_seconds}
    return session.execute(_RENEW, renewal).first() is not None


def hold(session: Session, lease_id: int) -> bool:
    """Lock it until the transaction ends, before anything that it holds is locked; False if it has ended."""
    return session.execute(_HOLD, {"lease": lease_id}).first() is not None


def settle(session: Session, lease_id: int, items: int) -> None:
    """Count items of it that have ended."""
    session.execute(_SETTLE, {"lease": lease_id, "settled": items})


def close(session: Session, *lease_ids: int, outcome: Outcome) -> None:
    """End leases. What they held points to them no more, which is the caller's part."""
    session.execute(_CLOSE, {"leases": list(lease_ids), "outcome": outcome})


def expired(session: Session, kind: str, limit: int) -> list[int]:
    """Lock leases whose time is over; those that somebody holds are left out."""
    return list(session.scalars(_EXPIRED, {"kind": kind, "limit": limit}))


def expired_kinds(session: Session) -> set[str]:
    """The kinds of work that have leases whose time is over. Locks nothing."""
    return set(session.scalars(_EXPIRED_KINDS))


def forget_ended(session: Session) -> int:
    """Remove leases that ended longer than `KEPT_SECONDS` ago, the oldest first, so many at once; returns how
    many. Nothing points to them any more."""
    rule = {"seconds": KEPT_SECONDS, "limit": FORGOTTEN_AT_ONCE}
    return len(session.execute(_FORGET, rule).all())


def open_leases(session: Session, kind: str) -> list[int]:
    """All that have not ended."""
    return list(session.scalars(_OPEN_ONES, {"kind": kind}))
