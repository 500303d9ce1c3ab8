"""Deaths of workers over inspections: what something else in the same hands may have caused is no reason."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.catalog.inspection_leases import INSPECTIONS, InspectionClaim, claim_inspection, count_try
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import get_network, register_network
from services.queue.batches import BATCHES
from services.queue.crash_rule import CRASHES_ALONE
from services.queue.reconciliation import reconcile
from tests.integration import staging
from tests.integration.staging import NETWORK, expire

NEW = "resnet18.a1_in1k"


@pytest.fixture
def staged(staged: Database) -> Iterator[Database]:
    """The shared database, its network afterwards as it was."""
    yield staged
    with staged.session() as session:
        as_it_was = text("UPDATE networks SET inspection_due = false, inspection_tries = 0, lease_id = NULL")
        session.execute(as_it_was)


def claim(database: Database, worker: str) -> InspectionClaim | None:
    with database.session() as session:
        return claim_inspection(session, worker, lease_seconds=60, version=1)


def die(database: Database, *lapsed: tuple[int, str]) -> None:
    """These leases of a worker that is dead lapse, one after the other."""
    kinds = {kind.name: kind for kind in (BATCHES, INSPECTIONS)}
    for lease_id, kind in lapsed:
        expire(database, lease_id)
        with database.session() as session:
            assert reconcile(session, kinds[kind]).expired_leases == 1


@pytest.mark.parametrize("picture_first", [True, False])
def test_a_death_while_a_picture_was_made_in_its_midst_counts_against_neither(
    staged: Database, picture_first: bool
) -> None:
    job = staging.submit(staged, staging.request("0")).job
    with staged.session() as session:
        session.execute(text("UPDATE networks SET inspection_due = true"))
    for death in range(2 * CRASHES_ALONE):
        inspected = claim(staged, f"worker-{death}")
        assert inspected is not None
        assert inspected.alone == (death > 0)
        picture = staging.claim(staged, worker=f"worker-{death}")
        lapsed = [(inspected.lease_id, "inspection"), (picture.lease_id, "batch")]
        die(staged, *(reversed(lapsed) if picture_first else lapsed))
        staging.hurry(staged)
    with staged.session() as session:
        network = get_network(session, NETWORK)
    assert (network.state, network.error, network.inspection_due) == ("ready", None, True)
    assert staging.job(staged, job.id).units.failed == 0


def test_a_network_that_kills_its_worker_three_times_alone_has_failed(staged: Database) -> None:
    with staged.session() as session:
        register_network(session, RegisterNetwork(id=NEW))
    for death in range(CRASHES_ALONE):
        with staged.session() as session:
            assert get_network(session, NEW).state == "pending"
            inspected = claim_inspection(session, f"worker-{death}", lease_seconds=60)
        assert inspected is not None
        die(staged, (inspected.lease_id, "inspection"))
    with staged.session() as session:
        failed = get_network(session, NEW)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "never ended" in failed.error


def test_what_did_not_come_to_its_end_is_charged_whatever_else_its_worker_has_in_hand(
    staged: Database,
) -> None:
    with staged.session() as session:
        register_network(session, RegisterNetwork(id=NEW))
    staging.submit(staged, staging.request("0"))
    for _ in range(CRASHES_ALONE):
        with staged.session() as session:
            inspected = claim_inspection(session, "worker", lease_seconds=60)
        assert inspected is not None
        picture = staging.claim(staged, worker="worker")
        with staged.session() as session:
            count_try(session, inspected.lease_id, "No memory.")
            BATCHES.give_back(session, picture.lease_id)
    with staged.session() as session:
        assert get_network(session, NEW).error == "No memory."
