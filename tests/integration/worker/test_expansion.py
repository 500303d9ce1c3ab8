"""Atlases are expanded by a worker in slices, and other workers hear of it."""

from typing import Any

import pytest
from sqlalchemy import text

from services.atlases import changes, creation
from services.atlases.atlas_request import AtlasRequest
from services.atlases.building import steps
from services.queue import leases
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


def hurry(scene: Scene) -> None:
    with scene.database.session() as session:
        session.execute(text("UPDATE work SET not_before = now()"))


def test_what_fails_now_and_then_between_steps_that_succeed_is_not_given_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene.database.session() as session:
        creation.create(session, AtlasRequest.model_validate({"network": NETWORK, "layers": "all"}))
    step, begun = steps.step, list[int]()

    def fails_now_and_then(*asked: Any) -> Any:
        begun.append(1)
        if len(begun) % 2 == 0:
            raise RuntimeError("odd")
        return step(*asked)

    monkeypatch.setattr(steps, "step", fails_now_and_then)
    turn = Expansion(leases_of(scene), StopFlag(), alternating=False, ring=lambda: None)
    while turn.look():
        assert scene.count("SELECT count(*) FROM work WHERE kind = 'expand' AND given_up") == 0
        hurry(scene)
    assert len(begun) > 6
    assert scene.count("SELECT count(*) FROM work WHERE kind = 'expand'") == 0


def test_letting_go_of_a_paused_atlas_goes_on_where_the_slice_before_ended(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = AtlasRequest.model_validate({"network": NETWORK, "layers": "all"})
    with scene.database.session() as session:
        id = creation.create(session, request)[0].id
    turn = Expansion(leases_of(scene), StopFlag(), alternating=False, ring=lambda: None)
    assert turn.look()
    jobs = scene.count("SELECT count(*) FROM jobs")
    assert jobs > 2
    # A picture of each job is computed meanwhile, so that none of them ends.
    with scene.database.session() as session:
        for job in session.scalars(text("SELECT id FROM jobs")):
            lease = leases.open_lease(session, "batch", "worker", lease_seconds=600)
            held = "UPDATE visualizations SET state = 'leased', lease_id = :lease WHERE digest IN ("
            held += "SELECT digest FROM job_visualizations WHERE job_id = :job LIMIT 1)"
            session.execute(text(held), {"lease": lease, "job": job})
    with scene.database.session() as session:
        changes.pause(session, id)
    monkeypatch.setattr(chore_turns, "SLICE_SECONDS", 0.0)
    waiting = "SELECT count(*) FROM visualizations WHERE state = 'queued'"
    assert scene.count(waiting) > 0
    for _ in range(jobs):
        assert turn.look()
    assert scene.count(waiting) == 0


def test_pictures_that_another_worker_is_to_make_do_not_end_a_slice(scene: Scene) -> None:
    scene.submit("0")
    turn = Expansion(leases_of(scene), StopFlag(), alternating=False, ring=lambda: None)
    assert turn.somebody_waits()
    turn._held.lacking.note(f"network:{NETWORK}", "It is not here.", leave=True)
    assert not turn.somebody_waits()
