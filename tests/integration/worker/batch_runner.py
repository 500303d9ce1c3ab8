"""A worker's side of batches, without a process of its own."""

from tests.worker_processes import MAX_BATCH, Scene
from worker.batches.deliver import Delivery
from worker.batches.provenance import Provenance
from worker.batches.runner import BatchRunner
from worker.batches.size import BatchSizer
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag


def patient(scene: Scene) -> Scene:
    """Nothing dies here, so a lease may be long enough for the busiest machine."""
    scene.settings = scene.settings.model_copy(update={"lease_seconds": 600.0})
    return scene


def delivery(scene: Scene) -> Delivery:
    return Delivery(
        scene.database, scene.store, Provenance("test-worker", choose_device("cpu", threads=1)), StopFlag()
    )


def runner(scene: Scene, sizer: BatchSizer | None = None) -> BatchRunner:
    device = choose_device("cpu", threads=1)
    return BatchRunner(
        database=scene.database,
        runtime=Runtime(scene.database, scene.store, scene.settings, device),
        sizer=sizer or BatchSizer(batch_seconds=20, max_batch=MAX_BATCH, round_size=MAX_BATCH),
        delivery=delivery(scene),
        settings=scene.settings,
        worker_id="test-worker",
        stop=StopFlag(),
    )


def run_everything(runner: BatchRunner) -> None:
    while runner.run_batch():
        pass
    runner.settle()
