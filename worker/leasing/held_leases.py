"""The leases that one worker holds, of any kind of work: keeping them, and giving them back."""

import structlog

from services.base.database import Database
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.queue import kinds
from services.queue.kinds import Kind
from services.queue.leases import Pulse
from worker.leasing.database_contact import DatabaseContact
from worker.leasing.lacking import Lacking
from worker.leasing.lease_renewal import LeaseKeeper
from worker.process.stopping import StopFlag

log = structlog.get_logger()


class HeldLeases:
    """What is the same for all kinds of work of one worker, also what it is `lacking`. Threads may share
    it."""

    def __init__(self, database: Database, settings: Settings, worker_id: str, stop: StopFlag) -> None:
        self.lacking = Lacking()
        self.database = database
        self.worker_id = worker_id
        self.seconds = settings.lease_seconds
        self._heartbeat_seconds = settings.heartbeat_seconds
        self._stop = stop
        self._owed: dict[int, Kind] = {}
        self.contact = DatabaseContact(self.seconds)

    def keeper(self, kind: Kind, lease_id: int, claimed_at: float) -> LeaseKeeper:
        """Who renews a lease, not started yet. `claimed_at`: a monotonic time before its claim was sent."""

        def pulse(steps: int) -> Pulse:
            with self.database.session() as session:
                return kinds.pulse(session, kind, lease_id, lease_seconds=self.seconds, steps=steps)

        return LeaseKeeper(
            pulse,
            lease_seconds=self.seconds,
            heartbeat_seconds=self._heartbeat_seconds,
            confirmed_at=claimed_at,
            stop=self._stop,
        )

    def give_back(self, kind: Kind, lease_id: int) -> bool:
        """Free all that a lease holds, at no charge. False where the database is away: then it stays owed; if
        this process ends before, the lease lapses, which counts as a crash."""
        try:
            with self.database.session() as session:
                kind.give_back(session, lease_id)
        except Unavailable as error:
            self._owed[lease_id] = kind
            log.warning("release_failed", kind=kind.name, lease=lease_id, reason=str(error))
            return False
        return True

    def heard(self) -> None:
        """The database has answered: it gets back what is owed to it. Raises `Unavailable`."""
        self.contact.answered()
        self.give_back_owed()

    def give_back_owed(self) -> None:
        """Free what could not be freed while the database was away. Raises `Unavailable` if it still is."""
        for lease_id, kind in sorted(self._owed.items(), key=lambda owed: owed[0]):
            with self.database.session() as session:
                kind.give_back(session, lease_id)
            self._owed.pop(lease_id, None)
