"""One side of `benchmarks.queue`: the queue of whichever checkout is on the path, on a database of its own.

For each seed read: the seconds of submitting a job of so many items, and of claiming and finishing some of
them, as JSON. It takes nothing from other benchmarks: the checkout may be an old one.
"""

import json
import sys
import time

from imago_engine.networks import LayerInfo
from services.base.database import Database, migrate
from services.catalog.generators import register_generator
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.jobs import jobs
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from services.jobs.submission import submit
from services.pictures.artifacts import StoredArtifact
from services.queue import batches
from services.queue.batches import Finished

NETWORK, BATCH = "bench.queue", 64


def main() -> None:
    url, items, finished = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    migrate(url)
    database = Database(url)
    _stage(database, items)
    for line in sys.stdin:
        began = time.monotonic()
        job_id = _submit(database, int(line), items)
        submitted = time.monotonic()
        _work_off(database, finished)
        worked = time.monotonic()
        with database.session() as session:
            jobs.cancel(session, job_id)  # what is left must not be claimed in the next round
        print(json.dumps({"submit_s": submitted - began, "finish_s": worked - submitted}), flush=True)
    database.dispose()


def _stage(database: Database, units: int) -> None:
    """A network whose only layer has so many units, never inspected by anyone, and a generator."""
    info = {
        "architecture": "compact",
        "code_shape": [16],
        "image_size": 32,
        "encoder": NETWORK,
        "recommended": {"learning_rate": 0.5, "steps": 20},
    }
    with database.session() as session:
        register_network(session, RegisterNetwork(id=NETWORK))
        record_inspection(
            session,
            NETWORK,
            weights_sha256="a" * 64,
            preprocessing={"size": 32},
            labels=[],
            layers=[LayerInfo("classifier", "output", units, None, None, None)],
        )
        register_generator(session, "bench", info, "b" * 64, default=True)


def _submit(database: Database, seed: int, items: int) -> str:
    targets = [{"layer": "classifier", "units": "all"}]
    request = JobRequest.model_validate({"network": NETWORK, "targets": targets, "seeds": [seed]})
    with database.session() as session:
        return submit(session, request, limits=Limits(items)).job.id


def _work_off(database: Database, items: int) -> None:
    """Claim and finish as a worker does, with nothing computed in between."""
    for _ in range(0, items, BATCH):
        with database.session() as session:
            claim = batches.claim(session, "bench", limit=BATCH, lease_seconds=600)
        assert claim is not None
        results = [_result(work.digest) for work in claim.items]
        with database.session() as session:
            assert len(batches.conclude(session, claim.lease_id, finished=results)) == len(results)


def _result(digest: str) -> Finished:
    return Finished(
        digest=digest,
        activation=1.0,
        predictions=[[7, 0.5]] * 5,
        artifacts=[
            StoredArtifact("image", f"image/{digest}.png", "image/png", 12_345, 128, 128),
            StoredArtifact("code", f"code/{digest}.safetensors", "application/octet-stream", 1_234),
            StoredArtifact("trace", f"trace/{digest}.npy", "application/octet-stream", 1_234),
        ],
        crop_box=None,
        provenance={"device": "none", "worker": "bench", "batch_size": BATCH},
    )


if __name__ == "__main__":
    main()
