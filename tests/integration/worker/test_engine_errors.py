"""Whatever the engine raises, and wherever: items end with an explanation, and no lease is left to lapse."""

import dataclasses
from typing import Any, NoReturn

import pytest
from sqlalchemy import text

import worker.batches.claimed_batch
import worker.batches.deliver
import worker.loading.runtime
from imago_engine.synthesis.ascent import Picture, synthesize
from imago_engine.synthesis.networks.load import load_network
from services.catalog.inspection_leases import claim_inspection
from services.queue.batches import MAX_ATTEMPTS
from tests.integration.worker.batch_runner import run_everything, runner
from tests.worker_processes import NETWORK, Scene


@pytest.fixture
def scene(scene: Scene) -> Scene:
    scene.settings = scene.settings.model_copy(update={"lease_seconds": 600.0})
    return scene


def run_to_the_end(scene: Scene, job_id: str) -> None:
    batches = runner(scene)
    for _ in range(2 * MAX_ATTEMPTS):
        run_everything(batches)
        scene.hurry()
    assert scene.job(job_id).ended, scene.job(job_id).units
    assert scene.count("SELECT count(*) FROM leases WHERE outcome IS DISTINCT FROM 'finished'") == 0
    assert scene.count("SELECT sum(crash_count) FROM visualizations") == 0


def test_a_recipe_that_the_engine_refuses_fails_every_item_and_says_why(scene: Scene) -> None:
    job_id = scene.submit("0-3")
    with scene.database.session() as session:  # a release with other ranges could store it
        session.execute(text("UPDATE recipes SET parameters = parameters || '{\"bounds_k\": 0}'"))
    run_to_the_end(scene, job_id)
    assert scene.check(job_id) == {"failed": 4}
    [error] = scene.job(job_id).errors
    assert error.code == "impossible"
    assert "bounds_k: should be greater than 0; got 0" in error.message
    assert scene.count("SELECT max(attempt) FROM visualizations") == 1  # again it would be refused


STAGES = {
    "the technique": (worker.batches.claimed_batch, "technique_named", KeyError("a name")),
    "the network": (worker.loading.runtime, "load_network", StopIteration()),
    "the generator": (worker.loading.runtime, "load_generator", SystemExit(1)),
    "the ascent": (worker.batches.claimed_batch, "synthesize", SystemExit(1)),
    "the encoding": (worker.batches.deliver, "encode", RuntimeError("NUL \0 and half a pair \ud83d")),
}


@pytest.mark.parametrize("stage", STAGES)
def test_no_error_of_the_engine_leaves_an_item_without_an_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    module, function, error = STAGES[stage]

    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setattr(module, function, fail)
    job_id = scene.submit("0-1", steps=1)
    run_to_the_end(scene, job_id)
    assert scene.check(job_id) == {"failed": 2}
    [told] = scene.job(job_id).errors
    assert type(error).__name__ in told.message
    assert scene.count("SELECT min(attempt) FROM visualizations") == MAX_ATTEMPTS


def test_what_the_database_cannot_hold_costs_only_the_item_that_it_is_of(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*arguments: Any, **options: Any) -> list[Picture]:
        pictures = list(synthesize(*arguments, **options))
        pictures[1] = dataclasses.replace(pictures[1], predictions=[(0, float("nan"))])
        pictures[2] = dataclasses.replace(pictures[2], predictions=[(0, "NUL \0")])  # type: ignore[list-item]
        return pictures

    job_id = scene.submit("0-3")
    with monkeypatch.context() as patch:
        patch.setattr(worker.batches.claimed_batch, "synthesize", odd)
        run_everything(runner(scene))
    units = scene.job(job_id).units
    assert (units.done, units.queued, units.leased) == (2, 2, 0)
    assert scene.count("SELECT count(*) FROM visualizations WHERE error->>'code' = 'internal'") == 2
    scene.hurry()
    run_to_the_end(scene, job_id)
    assert scene.check(job_id) == {"done": 4}


def test_an_inspection_whose_findings_cannot_be_stored_fails_and_says_so(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def labelled(*arguments: Any) -> Any:
        return dataclasses.replace(load_network(*arguments), labels=labels)

    labels = ("half a pair \ud83d",)
    monkeypatch.setattr("worker.inspecting.inspector.load_network", labelled)
    scene.register("small.odd")
    assert scene.inspector().look()
    network = scene.network("small.odd")
    assert network.state == "failed"
    assert "surrogate" in (network.error or "")
    assert scene.network(NETWORK).state == "ready"
    with scene.database.session() as session:
        assert claim_inspection(session, "tester", lease_seconds=60) is None
