"""What workers measure of a network with a generator is kept in the store, for all of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sqlalchemy import text

from imago_engine.synthesis.computing import thread_groups
from imago_engine.synthesis.directions import regressed_slopes, unit_directions
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.files import load_generator, save_generator
from services.base.errors import Unavailable
from services.catalog import looks as looks_of
from services.catalog.looks import UnderWay
from services.catalog.shipped_generator import register_shipped_generator
from services.jobs import jobs, submission
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from tests import small_world
from tests.integration.worker.batch_runner import leases_of, patient, run_everything, runner, runtime_of
from tests.worker_processes import NETWORK, Scene
from worker.inspecting import look_turn as look_turn_module
from worker.inspecting.look_turn import LookTurn
from worker.leasing.work_kinds import nothing
from worker.loading.runtime import Runtime
from worker.process.stopping import StopFlag
from worker.process.store_watch import StoreWatch

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
    scene: Scene,
    *,
    on_pause: Callable[[], object] = nothing,
    stop: StopFlag | None = None,
    runtime: Runtime | None = None,
    alternating: bool = False,
) -> LookTurn:
    """Another worker each time, unless `runtime` is one's: nothing is loaded, and nothing remembered."""
    stop = stop or StopFlag()
    return LookTurn(
        leases_of(scene, stop=stop),
        runtime or runtime_of(scene),
        stop,
        StoreWatch(scene.store),
        alternating=alternating,
        on_pause=on_pause,
    )


def chores_left(scene: Scene) -> list[tuple[str, bool]]:
    with scene.database.session() as session:
        rows = session.execute(
            text("SELECT subject, given_up FROM work WHERE kind = 'look' ORDER BY subject")
        )
        return [(subject, given_up) for subject, given_up in rows]


def under_way(scene: Scene) -> UnderWay | None:
    with scene.database.session() as session:
        return looks_of.under_way_of(session, NETWORK)


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

    assert look_turn(scene, on_pause=read).look()
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

    def compute() -> None:
        if under_way(scene) == UnderWay(32, 64):
            batches.ring()
            batches.run_interactive()

    assert look_turn(scene, on_pause=compute, runtime=runtime).look()
    batches.settle()
    assert scene.check(job) == {"done": 4}
    assert drawn == [0, 1], "the batch has begun with the first half"


def test_a_look_is_given_back_when_the_worker_stops_and_made_by_the_next_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_groups, "PAUSE_SECONDS", 0)
    stop = StopFlag()
    assert look_turn(scene, on_pause=lambda: stop.ask(60), stop=stop).look()
    assert len(chores_left(scene)) == 1
    assert look_turn(scene).look()
    assert chores_left(scene) == []
    assert len(objects(scene)) == 1


def hurry(scene: Scene) -> None:
    with scene.database.session() as session:
        session.execute(text("UPDATE work SET not_before = now()"))


@pytest.mark.parametrize("error", [RuntimeError("odd"), SystemExit(1), MemoryError()])
def test_a_look_that_fails_is_given_up_after_three_times_and_left_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    tries: list[int] = []

    def odd(*asked: Any) -> None:
        tries.append(1)
        raise error

    monkeypatch.setattr(look_turn_module, "look_at_all", odd)
    for _ in range(5):
        hurry(scene)
        assert look_turn(scene).look()
    assert len(tries) == 3
    assert [given_up for _, given_up in chores_left(scene)] == [True]
    with scene.database.session() as session:
        looks_of.plan(session, NETWORK)
    assert look_turn(scene).look()
    assert len(tries) == 4, "what is planned anew is tried anew"


def test_a_network_whose_weights_have_changed_is_not_looked_at_and_its_jobs_say_why(scene: Scene) -> None:
    with scene.database.session() as session:
        session.execute(text("UPDATE networks SET weights_sha256 = repeat('0', 64)"))
    for _ in range(3):
        hurry(scene)
        assert look_turn(scene).look()
    assert [given_up for _, given_up in chores_left(scene)] == [True]
    job = submit(scene)
    run_everything(runner(scene))
    assert scene.check(job) == {"failed": 4}


def test_a_network_whose_weights_are_elsewhere_is_left_to_another_worker(scene: Scene) -> None:
    weights = scene.folder / small_world.NETWORK_FILE
    away = weights.rename(weights.with_suffix(".away"))
    for _ in range(4):
        hurry(scene)
        assert look_turn(scene).look()
    assert [given_up for _, given_up in chores_left(scene)] == [False]
    away.rename(weights)
    hurry(scene)
    assert look_turn(scene).look()
    assert chores_left(scene) == []


def test_what_could_not_be_kept_is_looked_at_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*asked: Any) -> None:
        raise Unavailable("store", "away")

    with monkeypatch.context() as patch:
        patch.setattr(looks_of, "keep", unavailable)
        assert look_turn(scene).look()
    assert len(chores_left(scene)) == 1
    assert not look_turn(scene).look(), "not at once"
    hurry(scene)
    assert look_turn(scene).look()
    assert chores_left(scene) == []
    assert len(objects(scene)) == 1


def test_what_could_not_be_kept_is_kept_by_the_same_worker_without_measuring_it_again(
    scene: Scene, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*asked: Any) -> None:
        raise Unavailable("store", "away")

    runtime = runtime_of(scene)
    with monkeypatch.context() as patch:
        patch.setattr(looks_of, "keep", unavailable)
        for _ in range(2):
            hurry(scene)
            assert look_turn(scene, runtime=runtime).look()
            assert len(chores_left(scene)) == 1
    hurry(scene)
    assert look_turn(scene, runtime=runtime).look()
    assert chores_left(scene) == []
    assert len(objects(scene)) == len(looks) == 1


def test_a_network_that_was_inspected_again_meanwhile_is_looked_at_again(
    scene: Scene, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_groups, "PAUSE_SECONDS", 0)

    def inspected_again() -> None:
        with scene.database.session() as session:
            session.execute(text("UPDATE networks SET spec_sha256 = repeat('1', 64)"))
            looks_of.plan(session, NETWORK)

    assert look_turn(scene, on_pause=inspected_again).look()
    assert len(chores_left(scene)) == 1
    assert look_turn(scene).look()
    assert chores_left(scene) == []
    assert len(objects(scene)) == 2


def test_nothing_is_looked_at_with_a_generator_that_is_not_the_default_any_more(
    scene: Scene, looks: list[str]
) -> None:
    with scene.database.session() as session:
        session.execute(text("UPDATE generators SET is_default = false"))
    assert look_turn(scene).look()
    assert not looks
    assert not chores_left(scene)


def test_looks_take_turns_with_other_work(scene: Scene) -> None:
    scene.register("small.other")
    assert scene.inspector().look()
    turn = look_turn(scene, alternating=True)
    assert [turn.look() for _ in range(4)] == [True, False, True, False]
    assert chores_left(scene) == []


def test_a_network_that_was_removed_meanwhile_is_not_looked_at(scene: Scene, looks: list[str]) -> None:
    with scene.database.session() as session:
        session.execute(text("DELETE FROM networks"))
    assert look_turn(scene).look()
    assert not looks
    assert not chores_left(scene)
