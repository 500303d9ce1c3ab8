"""What writers of objects must know of the collector: whether what they have put may be gone again.

A writer puts its objects, then, in one transaction, calls `enter` and looks whether any of them was written
down for removal since it began to put (`services.upkeep.collection`). If so it must not point to them: it
puts them again later.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.errors import Unavailable

WRITERS_LOCK = 0x696D61676F04
WRITE_SECONDS = 600.0
"""Longer than it takes from the first put to the commit, where nobody knows when it began."""


class BeingRemoved(Unavailable):
    """The collector is removing unused objects of the same names, or has just done so: whoever is to point to
    them puts them again, later."""

    def __init__(self) -> None:
        super().__init__(
            "object store", advice="It is removing an unused object of the same name; this passes."
        )


_ENTER = text("SELECT pg_advisory_xact_lock_shared(:lock)")
_DOOMED = text("""
    SELECT key FROM collected WHERE key = ANY(CAST(:keys AS text[]))
    AND (removed_at IS NULL OR removed_at > coalesce(
        CAST(:since AS timestamptz), clock_timestamp() - make_interval(secs => :seconds)))
""")
_LEASE_BEGAN = text("SELECT created_at FROM leases WHERE id = :lease")


def enter(session: Session) -> None:
    """Exclude the collector until the transaction ends. To be called before any other lock is taken."""
    session.execute(_ENTER, {"lock": WRITERS_LOCK})


def doomed(session: Session, keys: Collection[str], since: datetime | None = None) -> set[str]:
    """Those of the keys that are being removed or were removed since then, by default within the last
    `WRITE_SECONDS`: what was put under them may be gone."""
    asked = {"keys": list(keys), "since": since, "seconds": WRITE_SECONDS}
    return set(session.scalars(_DOOMED, asked)) if keys else set()


def doomed_items(session: Session, lease_id: int, keys: Mapping[str, Sequence[str]]) -> set[str]:
    """Those digests of a lease of which an object may be gone again; `keys` are their objects, by digest."""
    if not keys:
        return set()
    began = session.execute(_LEASE_BEGAN, {"lease": lease_id}).scalar_one()
    gone = doomed(session, {key for objects in keys.values() for key in objects}, began)
    return {digest for digest, objects in keys.items() if not gone.isdisjoint(objects)}


def guard(session: Session, keys: Collection[str], since: datetime | None = None) -> None:
    """`enter`, and raise `BeingRemoved` if any of the keys may be gone: the caller puts them again."""
    enter(session)
    if doomed(session, keys, since):
        raise BeingRemoved
