"""Whatever the kind of work: nobody waits for a claim of somebody else, and nothing is claimed twice."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database
from services.catalog import catalog
from services.catalog.catalog import RegisterNetwork
from services.catalog.inspection_leases import claim_inspection
from services.queue import batches
from services.queue.registry import KINDS
from services.trainings import leases as training_leases
from services.trainings import trainings
from services.trainings.request import TrainingRequest
from services.upkeep import chores
from services.upkeep.chores import ChoreName
from tests.integration.staging import request, submit
from tests.small_training import register_encoder

Claim = Callable[[Session], object | None]


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
        catalog.register_network(session, RegisterNetwork(id="resnet18.a1_in1k"))
    return lambda session: claim_inspection(session, "worker", lease_seconds=60)


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
    "repair": _chore("repair"),
    "scrub": _chore("scrub"),
    "collect": _chore("collect"),
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


def test_every_kind_of_work_is_tried() -> None:
    assert set(STAGES) == {kind.name for kind in KINDS}
