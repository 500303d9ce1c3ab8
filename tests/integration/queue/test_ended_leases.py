"""Leases that ended long ago are removed, of every kind, and no others."""

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.queue import leases
from services.queue.registry import BY_NAME, KINDS
from tests.integration.queue.test_claims_of_every_kind import STAGES
from worker.leasing.held_leases import HeldLeases
from worker.process.stopping import StopFlag
from worker.upkeep.rounds import Collecting

LONG_AGO = leases.KEPT_SECONDS + 60
_AGE = text("""
    UPDATE leases SET ended_at = now() - make_interval(secs => :seconds)
    WHERE ended_at IS NOT NULL AND id = :id
""")


def ended(database: Database, kind: str, worker: str = "worker", *, ago: float) -> int:
    with database.session() as session:
        id = leases.open_lease(session, kind, worker, lease_seconds=60)
        leases.close(session, id, outcome="finished")
        session.execute(_AGE, {"id": id, "seconds": ago})
    return id


def left(database: Database) -> set[int]:
    with database.session() as session:
        return set(session.scalars(text("SELECT id FROM leases WHERE kind <> 'collect' OR ended_at IS NULL")))


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_a_lease_of_any_kind_is_kept_for_a_while_once_it_has_ended_and_then_removed(
    staged: Database, kind: str
) -> None:
    claim = STAGES[kind](staged)
    with staged.session() as session:
        claimed = claim(session)
        assert claimed is not None
        BY_NAME[kind].give_back(session, claimed.lease_id)
        session.execute(_AGE, {"id": claimed.lease_id, "seconds": leases.KEPT_SECONDS - 60})
    with staged.session() as session:
        assert leases.forget_ended(session) == 0
        session.execute(_AGE, {"id": claimed.lease_id, "seconds": LONG_AGO})
    with staged.session() as session:
        assert leases.forget_ended(session) == 1
        assert session.execute(text("SELECT count(*) FROM leases")).scalar_one() == 0


def test_while_a_worker_holds_a_lease_its_later_ones_are_kept(staged: Database) -> None:
    """They tell whether what it holds was alone in its hands."""
    ended(staged, "batch", ago=LONG_AGO)
    with staged.session() as session:
        held = leases.open_lease(session, "batch", "worker", lease_seconds=-1)
    later = ended(staged, "batch", ago=LONG_AGO)
    ended(staged, "batch", "another", ago=LONG_AGO)
    with staged.session() as session:
        assert leases.forget_ended(session) == 2
    assert left(staged) == {held, later}
    with staged.session() as session:
        leases.close(session, held, outcome="expired")
    with staged.session() as session:
        assert leases.forget_ended(session) == 1


def test_a_collecting_worker_removes_them(
    staged: Database, emptied: ObjectStore, shared_settings: Settings
) -> None:
    kept = ended(staged, "repair", ago=60)
    for kind in ("batch", "training", "inspection", "repair", "scrub"):
        ended(staged, kind, "another", ago=LONG_AGO)
    stop = StopFlag()
    held = HeldLeases(staged, shared_settings, "worker", stop)
    collecting = Collecting(held, store=emptied, settings=shared_settings, stop=stop)
    collecting.tidy()
    assert collecting.look()
    assert left(staged) == {kept}
