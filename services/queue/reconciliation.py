"""Repairing what a dead worker left behind. Every idle worker tries; one at a time does it."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.queue import leases
from services.queue.kinds import Kind

_LOCK = 0x696D61676F03
_AT_ONCE = 100
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")


@dataclass(frozen=True)
class Reconciled:
    """What one round did; all zero when another process was at it."""

    expired_leases: int = 0
    requeued: int = 0
    poisoned: int = 0
    finished_jobs: int = 0


def reconcile(session: Session, kind: Kind) -> Reconciled:
    """Take back what expired leases of a kind hold; jobs that waited for nothing else end.

    One kind a transaction, so that no transaction locks rows of two. Up to 100 leases a call; returns at once
    when another process is at it. Ring the doorbell after the commit when something was queued.
    """
    if not session.execute(_TRY_LOCK, {"lock": _LOCK}).scalar_one():
        return Reconciled()
    expired = leases.expired(session, kind.name, _AT_ONCE)
    if not expired:
        return Reconciled()
    taken = kind.take_back(session, expired)
    leases.close(session, *expired, outcome="expired")
    return Reconciled(len(expired), taken.queued, taken.poisoned, taken.finished_jobs)
