"""What a scan finds, with the real servers and a small network."""

import io
import shutil
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy import text

from imago_engine.exemplars.quantiles import LEVELS
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.training.data.preparation import centre_square
from services.base.errors import Conflict, Invalid, NotFound
from services.base.object_keys import scan_key
from services.catalog import removal
from services.exemplars import forgetting, scans
from services.exemplars.request import ScanRequest
from services.exemplars.submission import submit
from services.pictures import losses
from services.pictures.losses import Subject
from services.queue import workers
from services.upkeep import collection, scrubbing
from services.upkeep.scrubbing import Cursor
from tests.integration.pictures.test_repairs import repairer
from tests.small_scan import COUNT, LAYERS, Counting, Interrupting, ScanScene, picture
from tests.small_world import IMAGE_SIZE, NETWORK_FILE
from tests.store_faults import lose
from tests.worker_processes import NETWORK, Scene
from worker.exemplars import scan_run
from worker.leasing.work_kinds import Tend, WorkKind
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device

SIZE = IMAGE_SIZE
"""At which the default generator's pictures are looked at."""


def peaks(scanning: ScanScene, layer: str) -> np.ndarray:
    """The activation of every unit at its strongest place, of every picture [N, C]."""
    scene = scanning.scene
    network = Runtime(scene.database, scene.store, scene.settings, choose_device("cpu")).network(
        NETWORK, scene.network().spec_sha256 or ""
    )
    images = [Image.open(io.BytesIO(picture(n))).convert("RGB") for n in range(COUNT)]
    pixels = torch.from_numpy(np.stack([centre_square(image, SIZE) for image in images]))
    with torch.no_grad():
        output = Prefix(network.module, layer)(network.preprocessing(pixels.permute(0, 3, 1, 2) / 255))
    return (output.flatten(2).amax(2) if output.ndim == 4 else output).numpy()


def name_of(n: int) -> str:
    if n < 20:
        return f"folder/deeper/{n:02}.png"
    return f"more/pictures.tar/{n}.png" if n < 40 else f"packed.npz#{n - 40}"


@pytest.mark.parametrize("layer", ["blocks.0.0", "conv_head", "classifier"])
def test_a_scan_finds_the_pictures_of_all_sources_that_excite_each_unit_most(
    scanning: ScanScene, layer: str
) -> None:
    id = scanning.submit(layers=layer)
    assert scanning.scanner().look()
    view = scanning.get(id)
    assert (view.state, view.pictures, view.left_out, view.input_size) == ("succeeded", COUNT, 1, SIZE)
    assert view.left_out_first[0].startswith("folder/broken.png (")
    found = peaks(scanning, layer)
    for unit in range(0, found.shape[1], 37):
        of_unit = scanning.of_unit(layer, unit)
        assert of_unit.statistics.pictures == COUNT
        assert len(of_unit.exemplars) == 9
        strongest = np.sort(found[:, unit])[::-1][:9]
        told = [exemplar.activation for exemplar in of_unit.exemplars]
        np.testing.assert_allclose(told, strongest, rtol=1e-3, atol=1e-5)
        assert of_unit.exemplars[0].picture == name_of(int(found[:, unit].argmax()))
        quantiles = of_unit.statistics.quantiles
        assert len(quantiles) == len(LEVELS)
        np.testing.assert_allclose(
            (quantiles[0], quantiles[-1]), (found[:, unit].min(), found[:, unit].max()), rtol=1e-3, atol=1e-5
        )
    assert view.crops == found.shape[1] * 9


def test_every_crop_is_a_picture_and_lies_in_few_objects(scanning: ScanScene) -> None:
    id = scanning.submit(layers="blocks.0.0,classifier")
    assert scanning.scanner().look()
    rows = scanning.everything(id)
    crops = [row[-1] for row in rows if isinstance(row[-1], bytes)]
    assert len(crops) == scanning.get(id).crops
    for data in dict.fromkeys(crops):
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "WEBP"
            assert max(image.size) <= 128
    packs = scanning.scene.count("SELECT count(*) FROM crop_packs")
    assert 0 < packs <= 10
    assert scanning.scene.count("SELECT sum(bytes) FROM crop_packs") < sum(map(len, crops))  # shared


def test_other_work_has_its_turn_after_every_slice(scanning: ScanScene) -> None:
    id, others = scanning.submit(), Counting()
    assert scanning.scanner(before=(others,), scan_slice_seconds=1e-6).look()
    assert scanning.get(id).state == "succeeded"
    assert others.looks >= COUNT / 16  # of 16 pictures each, and the crops after that


def test_a_canceled_scan_stops_and_shows_nothing(scanning: ScanScene) -> None:
    id = scanning.submit()

    class Canceling(WorkKind):
        def look(self, tend: Tend = lambda: None) -> bool:
            with scanning.scene.database.session() as session:
                scans.cancel(session, id)
            return False

    scanning.scanner(before=(Canceling(),), scan_slice_seconds=1e-6).look()
    assert scanning.get(id).state == "canceled"
    assert scanning.waiting() == 0
    assert not scanning.scanner().look()
    with pytest.raises(NotFound):
        scanning.of_unit("classifier", 0)


def test_pictures_that_change_meanwhile_fail_the_scan(scanning: ScanScene) -> None:
    class Adding(WorkKind):
        def look(self, tend: Tend = lambda: None) -> bool:
            (scanning.root / "folder" / "aaa.png").write_bytes(picture(99))
            return False

    id = scanning.submit()
    scanning.scanner(before=(Adding(),), scan_slice_seconds=1e-6).look()
    view = scanning.get(id)
    assert view.state == "failed"
    assert view.error is not None
    assert view.error["code"] == "sources_changed"


def test_other_work_has_its_turn_while_no_picture_can_be_decoded(
    scanning: ScanScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_run, "GIVING_WAY", 4)
    for n in range(40):
        (scanning.root / "folder" / f"broken-{n}.png").write_bytes(b"no picture")
    id = scanning.submit(sources=["folder"], layers="classifier")
    noted = []

    class Watching(WorkKind):
        def look(self, tend: Tend = lambda: None) -> bool:
            noted.append(scanning.get(id).left_out)
            return False

    assert scanning.scanner(before=(Watching(),), scan_slice_seconds=1e-6).look()
    assert scanning.get(id).left_out == 41
    assert set(range(4, 41, 4)) <= set(noted)


def test_sources_without_pictures_fail_the_scan_with_a_reason(scanning: ScanScene) -> None:
    shutil.rmtree(scanning.root / "folder" / "deeper")
    id = scanning.submit(sources=["folder"])
    assert scanning.scanner().look()
    view = scanning.get(id)
    assert view.error is not None
    assert view.error["code"] == "source_unusable"
    assert "folder/broken.png" in view.error["message"]
    assert str(scanning.root) not in view.error["message"]


def test_a_cut_archive_fails_the_scan_without_a_path_of_the_worker(scanning: ScanScene) -> None:
    tar = scanning.root / "more" / "pictures.tar"
    tar.write_bytes(tar.read_bytes()[:3000])
    id = scanning.submit(sources=["more/pictures.tar"])
    assert scanning.scanner().look()
    view = scanning.get(id)
    assert view.error is not None
    assert view.error["message"].startswith("more/pictures.tar cannot be read to its end")


def test_a_folder_that_cannot_be_read_fails_the_scan_without_a_path_of_the_worker(
    scanning: ScanScene,
) -> None:
    gone = scanning.root / "folder" / "later"
    gone.mkdir()
    for n in range(30):
        (scanning.root / "folder" / "deeper" / f"more-{n}.png").write_bytes(picture(n))

    class Removing(WorkKind):
        def look(self, tend: Tend = lambda: None) -> bool:
            shutil.rmtree(gone, ignore_errors=True)
            return False

    id = scanning.submit(sources=["folder"], layers="classifier")
    scanning.scanner(before=(Removing(),), scan_slice_seconds=1e-6).look()
    error = {"code": "source_unusable", "message": "folder/later cannot be read: No such file or directory"}
    assert scanning.get(id).error == error


def test_what_cannot_be_scanned_is_refused_at_once(scanning: ScanScene) -> None:
    for wrong, where in (
        ({"layers": "blokcs.0.0"}, "/layers"),
        ({"sources": ["nowhere"]}, "/sources/0"),
    ):
        with pytest.raises(Invalid) as refused:
            scanning.submit(**wrong)
        assert [error.pointer for error in refused.value.errors] == [where]
    assert scanning.scene.count("SELECT count(*) FROM scans") == scanning.waiting() == 0


def test_the_newest_scan_of_the_network_as_it_is_counts(scanning: ScanScene) -> None:
    first = scanning.submit(sources=["folder"], layers="classifier")
    second = scanning.submit(sources=["packed.npz"], layers="classifier")
    scanner = scanning.scanner()
    assert scanner.look()
    assert scanner.look()
    assert scanning.of_unit("classifier", 3).statistics.scan == second
    assert scanning.of_unit("output", 3, scan=first).statistics.scan == first
    with scanning.scene.database.session() as session:
        scans.remove(session, second)
    assert scanning.of_unit("classifier", 3).statistics.scan == first
    with scanning.scene.database.session() as session:
        session.execute(text("UPDATE networks SET spec_sha256 = repeat('0', 64)"))
    with pytest.raises(NotFound):
        scanning.of_unit("classifier", 3)


def test_what_a_scan_points_to_stays_and_goes_with_it(scanning: ScanScene) -> None:
    id = scanning.submit(layers="classifier")
    scanning.scanner(before=(Interrupting(scanning, 1),), scan_slice_seconds=1e-6).look()
    scene = scanning.scene
    states = set(scene.store.keys(f"scans/{id}/"))
    assert states
    scanning.scanner("another").look()
    packs = {row[0] for row in rows(scene, "SELECT object FROM crop_packs")}
    stray = scan_key(id, 1, b"stray")
    with scene.database.session() as session:
        asked = [*packs, *states, stray]
        assert collection.pointed_to(session, asked) == packs
    with scene.database.session() as session:
        scans.remove(session, id)
    assert not forgetting.forget_removed(scene.database, lambda: True)
    with scene.database.session() as session:
        assert collection.pointed_to(session, list(packs)) == set()
    assert scene.count("SELECT count(*) FROM exemplars") == 0


def rows(scene: Scene, query: str) -> Sequence[Sequence[str]]:
    with scene.database.session() as session:
        return [tuple(row) for row in session.execute(text(query))]


def test_a_network_goes_with_its_scans_but_not_while_one_goes_on(scanning: ScanScene) -> None:
    id = scanning.submit(layers="classifier")
    with scanning.scene.database.session() as session, pytest.raises(Conflict, match=id):
        removal.remove_network(session, NETWORK)
    assert scanning.scanner().look()
    with scanning.scene.database.session() as session:
        removal.remove_network(session, NETWORK)
    assert scanning.scene.count("SELECT count(*) FROM scans") == 0


def test_the_blocks_are_watched_unless_other_layers_are_named(scanning: ScanScene) -> None:
    every = [layer.name for layer in scanning.scene.layers()]
    blocks = [layer.name for layer in scanning.scene.layers() if layer.role is not None]
    with scanning.scene.database.session() as session:
        asked = ScanRequest(sources=["folder"])
        id = submit(session, NETWORK, asked).id
        all_of_them = submit(session, NETWORK, asked.model_copy(update={"layers": "all"})).id
    assert list(scanning.get(id).layers) == blocks
    assert list(scanning.get(all_of_them).layers) == every
    assert set(LAYERS.split(",")) <= set(every)
    assert scanning.scanner().look()
    assert scanning.get(id).state == "succeeded"


def test_lost_crops_are_noticed_and_given_up_with_advice(scanning: ScanScene) -> None:
    id, scene = scanning.submit(layers="classifier", sources=["folder"]), scanning.scene
    assert scanning.scanner().look()
    ((key,),) = rows(scene, "SELECT object FROM crop_packs ORDER BY number LIMIT 1")
    lose(scene.store, key)
    found = scrubbing.scrub(scene.database, scene.store, Cursor("crops"), rows=100)
    assert found.lost == 1
    assert repairer(scene).look()
    with scene.database.session() as session:
        loss = losses.noted_loss(session, Subject("crops", f"{id}/0"))
    assert loss is not None
    assert loss.given_up
    assert "scan the pictures again" in (loss.error or {})["message"]


def test_a_scan_whose_network_is_not_here_waits_for_a_worker_that_has_it(scanning: ScanScene) -> None:
    weights, elsewhere = scanning.scene.folder / NETWORK_FILE, scanning.scene.folder / "elsewhere"
    id = scanning.submit(sources=["packed.npz"], layers="conv_head")
    scanner = scanning.scanner()
    with scanning.scene.database.session() as session:
        workers.register(session, "another", host="there", device="cpu")
    weights.rename(elsewhere)
    assert scanner.look()
    assert scanning.waiting() == 1
    assert scanning.scene.count("SELECT attempt FROM work WHERE kind = 'scan'") == 0
    assert not scanner.look()  # nobody tries again for a while
    elsewhere.rename(weights)
    with scanning.scene.database.session() as session:
        session.execute(text("UPDATE work SET not_before = now()"))
    assert scanning.scanner("another").look()
    assert scanning.get(id).state == "succeeded"
