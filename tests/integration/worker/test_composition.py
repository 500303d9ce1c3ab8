"""What a whole worker does in the midst of what takes long, composed as it is."""

from sqlalchemy import text

from services.queue import workers
from tests.integration.search.test_worker import answer, asked, encoded
from tests.integration.worker.batch_runner import leases_of
from tests.small_scan import ScanScene
from tests.worker_processes import Scene
from worker.exemplars.scanner import Scanner
from worker.process.compose import _kinds
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag
from worker.process.store_watch import StoreWatch


def test_photographs_are_looked_at_during_a_scan(scene: Scene) -> None:
    scanning = ScanScene.build(scene)
    scene.settings = scene.settings.model_copy(update={"scan_slice_seconds": 0.05, "lease_seconds": 600.0})
    with scene.database.session() as session:
        workers.register(session, "test-worker", host="here", device="cpu", has_data_root=True)
        session.execute(text("DELETE FROM work"))
    scan = scanning.submit()
    photograph = asked(scene, encoded())
    held, stop = leases_of(scene), StopFlag()
    device, watch = choose_device("cpu", threads=1), StoreWatch(scene.store)
    kinds = _kinds(held, scene.store, scene.settings, device, watch, stop, ring=lambda: None)
    (scanner,) = (kind for kind in kinds if isinstance(kind, Scanner))
    assert scanner.look()
    assert scanning.get(scan).state == "succeeded"
    assert answer(scene, photograph).state == "done"
