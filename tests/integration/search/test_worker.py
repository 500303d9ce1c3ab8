"""A worker indexes what it makes, and looks at photographs before all else; with real networks."""

import io
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy import text

from imago_engine.weights import DIMENSIONS, EYE
from services.exemplars import percentiles
from services.queue import workers
from services.search import excitations, indexing
from services.search.excitations import Excitation
from services.search.neighbours import neighbours
from tests import small_world
from tests.integration.worker.batch_runner import leases_of, patient, run_everything, runner
from tests.small_scan import ScanScene
from tests.worker_processes import NETWORK, Scene
from worker.exemplars import scanner as scanner_module
from worker.indexing import photographs as photographs_module
from worker.indexing.backlog import Indexing
from worker.indexing.photographs import Photographs
from worker.indexing.sight import Sight
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper
from worker.leasing.work_kinds import WorkKind
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag


@pytest.fixture
def photographs(scene: Scene) -> Photographs:
    device = choose_device("cpu", threads=1)
    runtime = Runtime(scene.database, scene.store, scene.settings, device)
    return Photographs(leases_of(patient(scene)), runtime=runtime, sight=Sight(device))


def asked(scene: Scene, photograph: bytes, layer: str = "output") -> str:
    with scene.database.session() as session:
        return excitations.ask(session, NETWORK, layer, photograph).id


def answer(scene: Scene, id: str) -> Excitation:
    with scene.database.session() as session:
        return excitations.get(session, id)


def encoded(format: str = "JPEG", size: tuple[int, int] = (90, 60)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def test_pictures_are_indexed_by_the_worker_that_makes_them(scene: Scene, photographs: Photographs) -> None:
    job = scene.submit("0-3")
    run_everything(runner(scene))
    assert scene.check(job) == {"done": 4}
    with scene.database.session() as session:
        rows = session.execute(
            text("SELECT unit, eye, vector_dims(vector), l2_norm(vector) FROM embeddings ORDER BY unit")
        ).all()
        assert [(row[0], row[1], row[2]) for row in rows] == [(u, EYE, DIMENSIONS) for u in range(4)]
        assert all(abs(row[3] - 1) < 0.01 for row in rows)
        assert session.execute(text("SELECT count(*) FROM picture_labels")).scalar_one() == 20
        assert not indexing.lacks(session)
        found = neighbours(session, NETWORK, "output", 2, limit=3)
    assert sorted(one.unit for one in found.data) == [0, 1, 3]
    id = asked(scene, encoded())
    assert photographs.look()
    seen = answer(scene, id)
    assert seen.state == "done"
    assert seen.result is not None
    strengths = [unit["activation"] for unit in seen.result["excited"]]
    assert strengths == sorted(strengths, reverse=True)
    assert len(strengths) == 50
    assert sorted(unit["unit"] for unit in seen.result["alike"]) == [0, 1, 2, 3]


def test_a_device_that_hangs_while_it_embeds_is_noticed_whatever_it_embeds(
    scene: Scene, photographs: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    keepers: list[LeaseKeeper] = []
    noticed: list[bool] = []
    keeper, embeddings = HeldLeases.keeper, Sight.embeddings

    def kept(held: HeldLeases, *asked: Any) -> LeaseKeeper:
        keepers.append(keeper(held, *asked))
        return keepers[-1]

    def embedded(sight: Sight, pictures: Any) -> Any:
        noticed.append(keepers[-1]._hang_detector._since is not None)
        return embeddings(sight, pictures)

    monkeypatch.setattr(HeldLeases, "keeper", kept)
    monkeypatch.setattr(Sight, "embeddings", embedded)
    scene.submit("0-3")
    run_everything(runner(scene))
    with scene.database.session() as session:
        indexing.forget(session, list(session.scalars(text("SELECT digest FROM visualizations"))))
    index = Indexing(leases_of(scene), store=scene.store, sight=photographs._sight, stop=StopFlag())
    index.tidy()
    assert index.look()
    asked(scene, encoded())
    assert photographs.look()
    assert noticed == [True] * 3


def test_a_photograph_is_looked_at_in_the_midst_of_a_bulk_batch(
    scene: Scene, photographs: Photographs
) -> None:
    scene.submit("0-7", lane="bulk")
    id = asked(scene, encoded("WEBP"), "conv_stem")
    batches = runner(scene)
    batches._photographs = photographs
    assert batches._someone_waits()
    assert batches._run_nested()
    assert answer(scene, id).state == "done"
    assert not batches._someone_waits()


def test_after_a_scan_with_default_settings_photographs_and_pictures_of_early_layers_have_percentiles(
    scene: Scene, photographs: Photographs
) -> None:
    job = scene.submit("0-3", layer="conv_stem")
    run_everything(runner(scene))
    assert scene.job(job).units.done == 4
    scanning = ScanScene.build(scene)
    scan = scanning.submit(layers="conv_stem,conv_head")
    assert scanning.scanner().look()
    assert scanning.get(scan).state == "succeeded"
    id = asked(scene, encoded(), "conv_head")
    assert photographs.look()
    result = answer(scene, id).result
    assert result is not None
    assert all(unit["percentile"] is not None for unit in result["excited"])
    with scene.database.session() as session:
        digests = session.scalars(text("SELECT digest FROM visualizations")).all()
        standing = percentiles.of_pictures(session, digests)
        sizes = session.scalars(text("SELECT parameters ->> 'input_size' FROM recipes")).all()
    assert len(standing) == 4
    assert scanning.get(scan).input_size not in [int(size) for size in sizes]


def test_what_is_no_picture_is_refused_with_a_reason_and_forgotten(
    scene: Scene, photographs: Photographs
) -> None:
    cut, lie = asked(scene, encoded()[:-300]), asked(scene, b"RIFF" + bytes(100))
    assert photographs.look()
    assert photographs.look()
    assert not photographs.look()
    for id in (cut, lie):
        failed = answer(scene, id)
        assert failed.error is not None
        assert failed.error["code"] == "not_a_picture"
    with scene.database.session() as session:
        assert session.execute(text("SELECT count(photograph) FROM excitations")).scalar_one() == 0


def test_a_photograph_whose_network_is_not_here_is_left_to_a_worker_that_may_have_it(
    scene: Scene, photographs: Photographs
) -> None:
    with scene.database.session() as session:
        for name in ("test-worker", "another"):
            workers.register(session, name, host=name, device="cpu")
    weights, elsewhere = scene.folder / small_world.NETWORK_FILE, scene.folder / "elsewhere"
    weights.rename(elsewhere)
    id = asked(scene, encoded())
    assert photographs.look()
    assert answer(scene, id).state == "queued"
    assert not photographs.waits()
    assert not photographs.look()
    elsewhere.rename(weights)
    device = choose_device("cpu", threads=1)
    runtime = Runtime(scene.database, scene.store, scene.settings, device)
    assert Photographs(leases_of(scene, "another"), runtime=runtime, sight=Sight(device)).look()
    assert answer(scene, id).state == "done"


def test_a_photograph_whose_network_nobody_has_is_refused_with_the_reason(
    scene: Scene, photographs: Photographs
) -> None:
    (scene.folder / small_world.NETWORK_FILE).unlink()
    id = asked(scene, encoded())
    assert photographs.look()
    error = answer(scene, id).error
    assert error is not None
    assert small_world.NETWORK_FILE in error["message"]


@pytest.mark.parametrize("module", [photographs_module, scanner_module])
def test_a_lost_device_ends_the_process(
    scene: Scene, photographs: Photographs, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    class Ended(BaseException):
        pass

    def end(error: BaseException) -> None:
        raise Ended

    def lose(*arguments: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(module, "end_without_device", end)
    monkeypatch.setattr(Runtime, "network", lose)
    if module is photographs_module:
        asked(scene, encoded())
        kind: WorkKind = photographs
    else:
        scanning = ScanScene.build(scene)
        scanning.submit()
        kind = scanning.scanner()
    with pytest.raises(Ended):
        kind.look()
