"""A kind of work as a worker does it: the loop asks one kind after the other whether it has something to do.

`services.queue.kinds` is the same from the database's side. A new kind is a subclass of `LeasedWork`, and one
entry in `worker.process.compose`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, Protocol, TypeVar

import structlog
from sqlalchemy.orm import Session

from services.base.errors import Unavailable
from services.queue.chores import Chore
from services.queue.kinds import Kind
from services.upkeep.collected import BeingRemoved
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper

REMOVAL_SECONDS = 60.0
"""How long a chore rests whose objects the collector is removing."""
Tend = Callable[[], object]
log = structlog.get_logger()


def nothing() -> None:
    """Nothing to be done meanwhile."""


class WorkKind:
    """Owned by the thread that works; `ring` and `abandon` may be called from any."""

    def look(self, tend: Tend = nothing) -> bool:
        """Claim one piece of work and do it; False if there is none to be done now.

        `tend` is for what cannot wait; it is called every few seconds where a piece may take longer. Raises
        `Unavailable` when the database is away.
        """
        raise NotImplementedError

    def tidy(self) -> None:
        """What is to be done now and then, whether or not there is work. Raises `Unavailable`."""

    @property
    def settled(self) -> bool:
        """Whether nothing goes on in the background since the last look."""
        return True

    def settle(self) -> None:
        """Wait until nothing goes on in the background."""

    def ring(self) -> None:
        """Note that there may be something to claim."""

    def abandon(self) -> None:
        """Give back at once what is in hand: for a process that ends in the midst of it."""


class Claimed(Protocol):
    """What a claim gives."""

    @property
    def lease_id(self) -> int: ...


C = TypeVar("C", bound=Claimed)


class LeasedWork(WorkKind, ABC, Generic[C]):
    """Work whose lease begins and ends within a look: claimed, then done under a `LeaseKeeper`."""

    kind: ClassVar[Kind]

    def __init__(self, held: HeldLeases) -> None:
        self._held = held
        self._database = held.database
        self._in_hand: C | None = None

    def may_claim(self) -> bool:
        """Whether this worker could do such work now."""
        return True

    @abstractmethod
    def claim(self, session: Session) -> C | None:
        """Take what is next."""

    @abstractmethod
    def run(self, claim: C, keeper: LeaseKeeper, tend: Tend) -> None:
        """Do it, and say what came of it. The keeper has been started, and is stopped afterwards.

        Where it raises `Interrupted` or `Unavailable`, what is left of the claim is given back at no charge;
        the latter is raised on, so that the loop rests. But a chore that raises `BeingRemoved` rests itself:
        due at once, it would be taken again before the collector, which goes after it, has its turn.
        """

    def look(self, tend: Tend = nothing) -> bool:
        if not self.may_claim():
            return False
        claimed_at = time.monotonic()
        with self._database.session() as session:
            claim = self.claim(session)
        if claim is None:
            return False
        self._in_hand = claim
        keeper = self._held.keeper(self.kind, claim.lease_id, claimed_at)
        with structlog.contextvars.bound_contextvars(work=self.kind.name, lease=claim.lease_id):
            keeper.start()
            try:
                self.run(claim, keeper, tend)
            except (Interrupted, Unavailable) as reason:
                # Also of a lease that seems lost: out of reach of the database it may not have ended yet.
                log.info("given_back", reason=str(reason) or type(reason).__name__)
                keeper.stop()
                if isinstance(reason, BeingRemoved) and isinstance(self.kind, Chore):
                    self._held.give_back(self.kind.resting(REMOVAL_SECONDS), claim.lease_id)
                    return True
                self._held.give_back(self.kind, claim.lease_id)
                if isinstance(reason, Unavailable):
                    raise
            finally:
                keeper.stop()
                self._in_hand = None
        return True

    def abandon(self) -> None:
        claim = self._in_hand
        if claim is not None:
            self._held.give_back(self.kind, claim.lease_id)
