"""Whatever the kind of work: nobody waits for a claim of somebody else, and nothing is claimed twice."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database
from services.base.settings import Settings
from services.catalog.inspection_leases import claim_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.queue import batches, chores, leases
from services.queue.batches import BATCHES
from services.queue.chores import CHORES, ChoreName
from services.queue.registry import KINDS
from services.search import excitations
from services.trainings import leases as training_leases
from services.trainings import trainings
from services.trainings.request import TrainingRequest
from tests.integration.search.indexed import PNG
from tests.integration.staging import NETWORK, request, submit
from tests.small_training import register_encoder
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper
from worker.leasing.work_kinds import Claimed, LeasedWork, Tend
from worker.process.stopping import StopFlag

Claim = Callable[[Session], Claimed | None]


def _batch(staged: Database) -> Claim:
    submit(staged, request("0"))
    return lambda session: batches.claim(session, "worker", limit=1, lease_seconds=60)


def _training(staged: Database) -> Claim:
    register_encoder(staged)
    wanted = TrainingRequest.model_validate({"sources": ["birds"], "pictures": 100})
    with staged.session() as session:
        trainings.submit(session, "birds", wanted)
    return lambda session: training_leases.claim(session, "worker", lease_seconds=60)


def _inspection(staged: Database) -> Claim:
    with staged.session() as session:
        register_network(session, RegisterNetwork(id="resnet18.a1_in1k"))
    return lambda session: claim_inspection(session, "worker", lease_seconds=60)


def _excitation(staged: Database) -> Claim:
    with staged.session() as session:
        excitations.ask(session, NETWORK, "classifier", PNG)
    return lambda session: excitations.claim(session, "worker", lease_seconds=60)


def _chore(name: ChoreName) -> Callable[[Database], Claim]:
    def stage(staged: Database) -> Claim:
        with staged.session() as session:
            chores.plan(session, name, "visualization:0")
        return lambda session: chores.claim(session, name, "worker", lease_seconds=60)

    return stage


STAGES: dict[str, Callable[[Database], Claim]] = {
    "batch": _batch,
    "training": _training,
    "inspection": _inspection,
    "excitation": _excitation,
    **{name: _chore(name) for name in CHORES},
}


@pytest.mark.parametrize("kind", STAGES)
def test_what_is_being_claimed_is_neither_waited_for_nor_claimed_again(staged: Database, kind: str) -> None:
    claim = STAGES[kind](staged)
    with staged.session() as first:
        assert claim(first) is not None
        with staged.session() as second:
            second.execute(text("SET LOCAL lock_timeout = '5s'"))
            assert claim(second) is None
    with staged.session() as later:
        assert claim(later) is None


@dataclass(frozen=True)
class _Claimed:
    lease_id: int


class _Work(LeasedWork[_Claimed]):
    kind = BATCHES
    claimed_at = 0.0

    def claim(self, session: Session) -> _Claimed:
        self.claimed_at = time.monotonic()
        return _Claimed(leases.open_lease(session, self.kind.name, self._held.worker_id, lease_seconds=60))

    def run(self, claim: _Claimed, keeper: LeaseKeeper, tend: Tend) -> None:
        self.counted_from = keeper.claimed_at


def test_a_lease_of_any_kind_is_counted_from_before_its_claim_was_sent(
    staged: Database, settings: Settings
) -> None:
    work = _Work(HeldLeases(staged, settings, "worker", StopFlag()))
    assert work.look()
    assert work.counted_from <= work.claimed_at


def test_every_kind_of_work_is_tried() -> None:
    assert set(STAGES) == {kind.name for kind in KINDS}
