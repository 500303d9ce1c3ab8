"""What workers measure of a network with a generator is kept in the store, for all of them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import text

from imago_engine.synthesis.computing import thread_groups
from imago_engine.synthesis.directions import regressed_slopes, unit_directions
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.files import load_generator, save_generator
from services.catalog import looks as looks_of
from services.catalog.looks import UnderWay
from services.catalog.shipped_generator import register_shipped_generator
from services.jobs import jobs, submission
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from tests import small_world
from tests.integration.upkeep.test_collection import collect_all
from tests.integration.worker.batch_runner import leases_of, patient, run_everything, runner, runtime_of
from tests.worker_processes import NETWORK, Scene
from worker.inspecting.look_turn import LookTurn
from worker.leasing.work_kinds import nothing
from worker.process.stopping import StopFlag

RECIPE = {"space": "whitened", "start": "direction", "direction_codes": 64, "steps": 3}


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """With a generator that knows the prior of its codes."""
    path = small_world.write_generator(scene.folder)
    plain = load_generator(path)
    random = torch.Generator().manual_seed(0)
    axes = torch.randn(6, small_world.CODE_SIZE, generator=random)
    prototypes = torch.randn(20, 6, generator=random)
    tensors = (plain.code_mean, plain.code_std, plain.code_lower, axes, prototypes)
    info = dataclasses.replace(plain.info, recommended=RECIPE)
    save_generator(path, Generator(info, plain.network, *tensors))
    register_shipped_generator(scene.database, scene.store, path)
    return patient(scene)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the name of a layer with each look at the network."""
    seen: list[str] = []
    look = unit_directions.look

    def counted(network: Any, generator: Any, layers: Any, *rest: Any) -> Any:
        seen.append(layers[-1].layer.name)
        return look(network, generator, layers, *rest)

    monkeypatch.setattr(unit_directions, "look", counted)
    return seen


def submit(scene: Scene, layer: str = "output", units: str = "0-3", **parameters: Any) -> str:
    request = JobRequest.model_validate(
        {
            "network": NETWORK,
            "targets": [{"layer": layer, "units": units}],
            "recipe": {"technique": "dgn-am", "parameters": {**RECIPE, **parameters}},
        }
    )
    with scene.database.session() as session:
        return submission.submit(session, request, owner=None, limits=Limits(20_000)).job.id


def objects(scene: Scene) -> list[str]:
    with scene.database.session() as session:
        return list(session.scalars(text("SELECT object FROM looks ORDER BY name")))


def look_turn(
    scene: Scene, *, serve: Callable[[], object] = nothing, stop: StopFlag | None = None
) -> LookTurn:
    """Another worker each time: nothing is loaded, and nothing remembered."""
    return LookTurn(leases_of(scene, stop=stop), runtime_of(scene), serve=serve)


def chores_left(scene: Scene) -> list[tuple[str, bool]]:
    with scene.database.session() as session:
        rows = session.execute(
            text("SELECT subject, given_up FROM work WHERE kind = 'look' ORDER BY subject")
        )
        return [(subject, given_up) for subject, given_up in rows]


def under_way(scene: Scene) -> UnderWay | None:
    with scene.database.session() as session:
        return looks_of.under_way(session, [NETWORK]).get(NETWORK)


def test_networks_are_looked_at_once_another_generator_is_the_default(scene: Scene, looks: list[str]) -> None:
    (left,) = chores_left(scene)
    assert left[0].startswith(f"{NETWORK} ")
    assert look_turn(scene).look()
    assert chores_left(scene) == []
    assert not look_turn(scene).look()
    assert len(looks) == len(objects(scene)) == 1
    job = submit(scene)
    run_everything(runner(scene))
    assert scene.check(job) == {"done": 4}
    assert len(looks) == 1, "the batch has found what was kept"
    register_shipped_generator(scene.database, scene.store, scene.settings.generator_path)
    assert chores_left(scene) == [], "the default is the same as before"


def test_a_network_is_looked_at_once_it_was_inspected(scene: Scene, looks: list[str]) -> None:
    assert look_turn(scene).look()
    scene.register("small.other")
    assert scene.inspector().look()
    assert [subject.split()[0] for subject, _ in chores_left(scene)] == ["small.other"]
    assert look_turn(scene).look()
    assert chores_left(scene) == []
    assert len(looks) == len(objects(scene)) == 1, "it has the weights of the other one"


def test_people_see_how_far_a_look_is(
    scene: Scene, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regressed_slopes, "BLOCK", 32)
    monkeypatch.setattr(thread_groups, "PAUSE_SECONDS", 0)
    job, seen = submit(scene), list[tuple[UnderWay | None, UnderWay | None]]()

    def read() -> None:
        with scene.database.session() as session:
            seen.append((jobs.get(session, job).look, under_way(scene)))

    assert look_turn(scene, serve=read).look()
    assert (UnderWay(32, 64),) * 2 in seen
    assert under_way(scene) is None
    run_everything(runner(scene))
    assert scene.check(job) == {"done": 4}


def test_a_job_of_another_start_says_nothing_of_looks(scene: Scene) -> None:
    job = submit(scene, start="prototypes")
    with scene.database.session() as session:
        session.execute(
            text(
                "INSERT INTO looks (name, network_id, generator_id, seen, codes, seen_at)"
                " SELECT 'a', :network, id, 1, 64, now() FROM generators WHERE is_default"
            ),
            {"network": NETWORK},
        )
    assert under_way(scene) == UnderWay(1, 64)
    with scene.database.session() as session:
        assert jobs.get(session, job).look is None


def test_pictures_that_are_wanted_during_a_look_go_on_with_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regressed_slopes, "BLOCK", 32)
    monkeypatch.setattr(thread_groups, "PAUSE_SECONDS", 0)
    runtime = runtime_of(scene)
    batches, job = runner(scene, runtime=runtime), submit(scene)
    drawn: list[int] = []
    slopes = regressed_slopes.regressed_slopes

    def counted(*asked: Any) -> Any:
        drawn.append(asked[5].blocks)
        return slopes(*asked)

    monkeypatch.setattr(unit_directions, "regressed_slopes", counted)

    def serve() -> None:
        if under_way(scene) == UnderWay(32, 64):
            batches.ring()
            batches.run_interactive()

    assert LookTurn(leases_of(scene), runtime, serve=serve).look()
    batches.settle()
    assert scene.check(job) == {"done": 4}
    assert drawn == [0, 1], "the batch has begun with the first half"


def test_a_look_is_given_back_when_the_worker_stops_and_made_by_the_next_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_groups, "PAUSE_SECONDS", 0)
    stop = StopFlag()
    assert look_turn(scene, serve=lambda: stop.ask(60), stop=stop).look()
    assert len(chores_left(scene)) == 1
    assert look_turn(scene).look()
    assert chores_left(scene) == []
    assert len(objects(scene)) == 1


def test_a_network_that_cannot_be_loaded_is_given_up_and_its_jobs_say_why(scene: Scene) -> None:
    with scene.database.session() as session:
        session.execute(text("UPDATE networks SET weights_sha256 = repeat('0', 64)"))
    for _ in range(3):
        with scene.database.session() as session:
            session.execute(text("UPDATE work SET not_before = now()"))
        assert look_turn(scene).look()
    ((_, given_up),) = chores_left(scene)
    assert given_up
    job = submit(scene)
    run_everything(runner(scene))
    assert scene.check(job) == {"failed": 4}


def test_a_network_that_was_removed_meanwhile_is_not_looked_at(scene: Scene, looks: list[str]) -> None:
    with scene.database.session() as session:
        session.execute(text("DELETE FROM networks"))
    assert look_turn(scene).look()
    assert not looks
    assert not chores_left(scene)


def test_a_network_is_looked_at_once_for_all_layers_jobs_and_workers(scene: Scene, looks: list[str]) -> None:
    first = submit(scene)
    run_everything(runner(scene))
    second, third = submit(scene, layer="conv_stem"), submit(scene, units="4-7")
    run_everything(runner(scene))  # loads the network anew, as another worker does
    assert len(looks) == 1
    assert [scene.check(job) for job in (first, second, third)] == [{"done": 4}] * 3
    submit(scene, units="0", direction_ridge=3.0)
    run_everything(runner(scene))
    assert len(looks) == len(objects(scene)) == 2


@pytest.mark.parametrize("damage", [b"other bytes", None])
def test_a_look_that_the_store_has_lost_is_made_again(
    scene: Scene, looks: list[str], damage: bytes | None
) -> None:
    submit(scene)
    run_everything(runner(scene))
    (key,) = objects(scene)
    if damage is None:
        scene.store.delete(key)
    else:
        scene.store.put_under(key, damage, "application/octet-stream")
    job = submit(scene, units="4-7")
    run_everything(runner(scene))
    assert scene.check(job) == {"done": 4}
    assert len(looks) == 2
    assert objects(scene) == [key], "the same is measured again"
    assert scene.store.has(key)


def test_a_look_stays_while_its_row_does_and_goes_with_its_generator(
    scene: Scene, looks: list[str], tmp_path: Path
) -> None:
    submit(scene)
    run_everything(runner(scene))
    (key,) = objects(scene)
    collect_all(scene.database, scene.store)
    assert scene.store.has(key)
    with scene.database.session() as session:
        session.execute(text("DELETE FROM job_visualizations"))
        session.execute(text("DELETE FROM jobs"))
        session.execute(text("DELETE FROM visualizations"))
        session.execute(text("DELETE FROM generators"))
    assert objects(scene) == []
    collect_all(scene.database, scene.store)
    assert not scene.store.has(key)
