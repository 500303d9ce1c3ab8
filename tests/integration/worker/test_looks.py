"""What workers measure of a network with a generator is kept in the store, for all of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import text

from imago_engine.synthesis.directions import unit_directions
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.files import load_generator, save_generator
from services.catalog.shipped_generator import register_shipped_generator
from services.jobs import submission
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from tests import small_world
from tests.integration.upkeep.test_collection import collect_all
from tests.integration.worker.batch_runner import patient, run_everything, runner
from tests.worker_processes import NETWORK, Scene

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
    save_generator(path, Generator(plain.info, plain.network, *tensors))
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
