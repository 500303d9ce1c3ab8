"""A worker's side of batches, without a process of its own."""

from services.base.database import Database
from tests.worker_processes import MAX_BATCH, Scene
from worker.batches.deliver import Delivery
from worker.batches.provenance import Provenance
from worker.batches.runner import BatchRunner
from worker.batches.size import BatchSizer
from worker.leasing.held_leases import HeldLeases
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag


def patient(scene: Scene) -> Scene:
    """Nothing dies here, so a lease may be long enough for the busiest machine."""
    scene.settings = scene.settings.model_copy(update={"lease_seconds": 600.0})
    return scene


def leases_of(
    scene: Scene,
    worker_id: str = "test-worker",
    *,
    database: Database | None = None,
    stop: StopFlag | None = None,
) -> HeldLeases:
    return HeldLeases(database or scene.database, scene.settings, worker_id, stop or StopFlag())


def delivery(scene: Scene) -> Delivery:
    provenance = Provenance("test-worker", choose_device("cpu", threads=1))
    return Delivery(leases_of(scene), scene.store, provenance, StopFlag())


def runtime_of(scene: Scene) -> Runtime:
    """With nothing loaded yet."""
    return Runtime(scene.database, scene.store, scene.settings, choose_device("cpu", threads=1))


def runner(scene: Scene, sizer: BatchSizer | None = None, runtime: Runtime | None = None) -> BatchRunner:
    return BatchRunner(
        leases_of(scene),
        runtime=runtime or runtime_of(scene),
        sizer=sizer or BatchSizer(batch_seconds=20, max_batch=MAX_BATCH, round_size=MAX_BATCH),
        delivery=delivery(scene),
        settings=scene.settings,
        stop=StopFlag(),
    )


def run_everything(runner: BatchRunner) -> None:
    while runner.run_batch():
        pass
    runner.settle()
