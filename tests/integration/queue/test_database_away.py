"""A database that is away for longer than a lease: whoever lived through it does not count as dead, whatever
the kind of work."""

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from infra.local.servers import Servers
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.queue import leases
from services.queue.registry import BY_NAME
from tests.integration.queue.test_claims_of_every_kind import STAGES
from tests.worker_processes import until
from worker.leasing.held_leases import HeldLeases
from worker.leasing.work_loop import WorkLoop
from worker.process.presence import Presence
from worker.process.stopping import StopFlag
from worker.process.store_watch import StoreWatch

LEASE_SECONDS = 6.0
_DEATHS = text("""
    SELECT (SELECT sum(crash_count) FROM visualizations) + (SELECT sum(deaths) FROM trainings)
        + (SELECT sum(inspection_tries) FROM networks) + (SELECT sum(crash_count) FROM work)
""")


class Living:
    """A worker that is seen, takes back what dead ones had, and holds one lease of every kind."""

    def __init__(self, database: Database, store: ObjectStore, settings: Settings) -> None:
        self._database = database
        self.stop = StopFlag()
        self.held = HeldLeases(database, settings, "worker", self.stop)
        presence = Presence(
            database, settings, "worker", "cpu", StoreWatch(store), self.stop, heard=self.held.heard
        )
        presence.introduce()
        presence.start()
        self.loop = WorkLoop(
            (),
            database=database,
            poll_seconds=0.05,
            ring=lambda: None,
            stop=self.stop,
            give_back_owed=self.held.give_back_owed,
            may_judge=lambda: self.held.contact.steady,
        )
        self.taken = {kind: self._take(kind) for kind in STAGES}

    def _take(self, kind: str) -> int:
        claim = STAGES[kind](self._database)
        with self._database.session() as session:
            claimed = claim(session)
            assert claimed is not None
            leases.renew(session, claimed.lease_id, lease_seconds=LEASE_SECONDS)
        return claimed.lease_id

    def outcomes(self) -> dict[str, str | None]:
        """By the kind of work; None for a lease that is held."""
        with self._database.session() as session:
            query = text("SELECT kind, outcome FROM leases WHERE worker_id = 'worker'")
            return {row.kind: row.outcome for row in session.execute(query)}

    def deaths(self) -> int:
        with self._database.session() as session:
            return int(session.execute(_DEATHS).scalar_one())


@pytest.fixture
def living(staged: Database, emptied: ObjectStore, shared_settings: Settings) -> Iterator[Living]:
    changes = {"lease_seconds": LEASE_SECONDS, "heartbeat_seconds": LEASE_SECONDS / 3}
    worker = Living(staged, emptied, shared_settings.model_copy(update=changes))
    yield worker
    worker.stop.ask(0)


def away(servers: Servers) -> None:
    servers.postgres.kill()
    time.sleep(1.1 * LEASE_SECONDS)
    servers.postgres.restart()


def test_the_leases_of_workers_that_lived_through_it_are_kept(
    staged: Database, living: Living, servers: Servers
) -> None:
    keepers = [living.held.keeper(BY_NAME[kind], id, time.monotonic()) for kind, id in living.taken.items()]
    for keeper in keepers:
        keeper.start()
    with staged.session() as session:
        dead = leases.open_lease(session, "scrub", "dead", lease_seconds=LEASE_SECONDS)
    thread = threading.Thread(target=living.loop.run)
    thread.start()
    try:
        away(servers)

        def buried() -> bool:
            with staged.session() as session:
                query = text("SELECT outcome FROM leases WHERE id = :id")
                return bool(session.execute(query, {"id": dead}).scalar_one())

        until(buried, "the lease of a worker that died meanwhile is taken back")
        assert living.outcomes() == dict.fromkeys(STAGES)
        assert living.deaths() == 0
        assert not any(keeper.fenced for keeper in keepers)
    finally:
        living.stop.ask(0)
        thread.join()
        for keeper in keepers:
            keeper.stop()


def test_what_could_not_be_given_back_meanwhile_is_given_back_at_once(
    living: Living, servers: Servers
) -> None:
    servers.postgres.kill()
    for kind, lease_id in living.taken.items():
        assert not living.held.give_back(BY_NAME[kind], lease_id)
    servers.postgres.restart()
    until(lambda: set(living.outcomes().values()) == {"released"}, "all are given back")
    assert living.deaths() == 0
