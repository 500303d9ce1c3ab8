"""What every kind of work says of itself: all else about leases is the same for all of them.

A kind is one module beside the feature that it belongs to, and one entry of `services.queue.registry`. How it
is claimed is its own: it picks rows that nobody holds (`FOR NO KEY UPDATE SKIP LOCKED`, so that nobody is
waited for), opens a lease (`leases.open_lease`) and lets the rows point to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.orm import Session

from services.queue import leases
from services.queue.leases import Pulse

PUT_OFF = "put_off"
"""In the payload of a chore that no worker can go on with until something else has changed: true. A training
is not interrupted each time that somebody may look whether it has."""


@dataclass(frozen=True)
class TakenBack:
    """What became of the things that dead workers held: queued again, given up, and the jobs that ended with
    that."""

    queued: int = 0
    poisoned: int = 0
    finished_jobs: int = 0


class Kind(Protocol):
    """A kind of work. All methods act in the caller's transaction."""

    @property
    def name(self) -> str:
        """What `leases.kind` has."""
        ...

    def canceled(self, session: Session, lease_id: int) -> frozenset[str]:
        """What the lease holds and nobody wants any more: a pulse tells its worker."""
        ...

    def give_back(self, session: Session, lease_id: int) -> None:
        """Free all that a lease holds, at no charge, and close it; nothing happens if it has ended."""
        ...

    def take_back(self, session: Session, lease_ids: Sequence[int]) -> TakenBack:
        """Free what leases hold whose workers are dead. The leases are locked, and closed by the caller.

        Here the kind says how often something may be in hand when a worker dies, how long it waits after
        that, and when it is given up as `poisoned`.
        """
        ...


def pulse(session: Session, kind: Kind, lease_id: int, *, lease_seconds: float, steps: int = 0) -> Pulse:
    """Renew a lease from now on, note the steps that were made, and say what was canceled."""
    if not leases.renew(session, lease_id, lease_seconds=lease_seconds, steps=steps):
        return Pulse(False, frozenset())
    return Pulse(True, kind.canceled(session, lease_id))
