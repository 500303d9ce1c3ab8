"""A claimed training, with all that is needed to work on it for as long as the lease is held."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.orm import Session

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.trainings.leases import TrainingClaim
from worker.leasing.lease_renewal import LeaseKeeper
from worker.leasing.retries import Patience, keep_trying
from worker.process.stopping import StopFlag

T = TypeVar("T")


@dataclass(frozen=True)
class ClaimedTraining:
    """The claim, what keeps its lease, and the servers and settings of its worker."""

    claim: TrainingClaim
    keeper: LeaseKeeper
    database: Database
    store: ObjectStore
    settings: Settings
    stop: StopFlag

    def insist(self, action: Callable[[], T], what: str) -> T:
        """`action()`, tried again while a server is away, the lease is held and patience is left. Raises
        `Unavailable`.
        """
        patience = Patience(self.settings.store_patience_seconds)
        return keep_trying(
            action,
            what=what,
            may_go_on=lambda: self.keeper.may_finish and patience.left,
            wait=self.stop.wait,
        )

    def end(self, end: Callable[[Session], object]) -> None:
        """End the lease in one transaction, in the way of `end`; as `insist`."""

        def commit() -> None:
            with self.database.session() as session:
                end(session)

        self.insist(commit, "release")
