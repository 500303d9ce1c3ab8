"""Atlases are expanded by a worker in slices, and other workers hear of it."""

import pytest

from services.atlases import creation
from services.atlases.atlas_request import AtlasRequest
from tests.integration.worker.batch_runner import leases_of, patient
from tests.worker_processes import NETWORK, Scene
from worker.atlases.expansion_turn import Expansion
from worker.leasing import chore_turns
from worker.process.stopping import StopFlag


@pytest.fixture
def scene(scene: Scene) -> Scene:
    return patient(scene)


def test_other_workers_are_told_once_a_slice_that_there_are_pictures_to_be_made(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chore_turns, "SLICE_SECONDS", 600.0)
    request = AtlasRequest.model_validate({"network": NETWORK, "layers": "all", "facets": 3})
    with scene.database.session() as session:
        creation.create(session, request)
    rung: list[int] = []

    def ring() -> None:
        # Whoever hears it finds something: what is to be claimed is committed.
        rung.append(scene.count("SELECT count(*) FROM visualizations WHERE state = 'queued'"))

    turn = Expansion(leases_of(scene), StopFlag(), alternating=False, ring=ring)
    assert turn.look()
    assert len(rung) == 1
    assert rung[0] > 0
    assert scene.count("SELECT count(*) FROM jobs") > 1
    assert not turn.look()
    assert len(rung) == 1
