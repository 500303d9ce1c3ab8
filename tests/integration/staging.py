"""A small catalog, shorthands for what jobs and workers do, and the oracle that every scene must satisfy."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from imago_engine.artifacts import Artifact, ArtifactKind
from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.base.storage import ObjectStore
from services.catalog.generators import register_generator
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.jobs import jobs, submission
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from services.jobs.progress import JobView
from services.jobs.submission import Submission
from services.pictures import artifacts
from services.pictures.artifacts import StoredArtifact
from services.queue import batches
from services.queue.batches import Claim, Failure, Finished
from tests import oracle

NETWORK, GENERATOR = "tiny.random", "tiny-generator"
LAYERS = (
    LayerInfo("features.0", "conv", 8, (4, 6), 3, 2),
    LayerInfo("blocks.4", "block", 112, (7, 7), 99, 16),
    LayerInfo("classifier", "output", 400, None, None, None),
)
LABELS = [f"class {index}" for index in range(400)]
WEIGHTS = "a" * 64
INFO = {
    "architecture": "compact",
    "code_shape": [16],
    "image_size": 32,
    "encoder": "tiny.random",
    "recommended": {"learning_rate": 0.5, "steps": 20},
}


def stage(database: Database) -> None:
    """Fill the catalog: one network that is ready, one generator that is the default."""
    with database.session() as session:
        register_network(session, RegisterNetwork(id=NETWORK))
    inspect_again(database)
    with database.session() as session:
        register_generator(session, GENERATOR, INFO, "b" * 64, default=True)


def inspect_again(database: Database) -> None:
    """The network, as an inspection finds it each time."""
    with database.session() as session:
        assert record_inspection(
            session, NETWORK, weights_sha256=WEIGHTS, preprocessing={"size": 32}, labels=LABELS, layers=LAYERS
        )


def request(units: Any = "0-3", layer: str = "classifier", **rest: Any) -> JobRequest:
    targets = rest.pop("targets", [{"layer": layer, "units": units}])
    return JobRequest.model_validate({"network": NETWORK, "targets": targets, **rest})


def submit(database: Database, wanted: JobRequest, **rest: Any) -> Submission:
    with database.session() as session:
        return submission.submit(session, wanted, limits=Limits(1_000_000), **rest)


def job(database: Database, id: str) -> JobView:
    with database.session() as session:
        return jobs.get(session, id)


def claim(database: Database, limit: int = 64, worker: str = "worker-1", **rest: Any) -> Claim:
    found = claim_if_any(database, limit, worker, **rest)
    assert found is not None
    return found


def claim_if_any(
    database: Database, limit: int = 64, worker: str = "worker-1", seconds: float = 60, **rest: Any
) -> Claim | None:
    with database.session() as session:
        return batches.claim(session, worker, limit=limit, lease_seconds=seconds, **rest)


def picture(digest: str) -> Finished:
    """A result whose objects are named after the digest."""
    named = f"objects/{digest[:2]}/{digest}"
    return Finished(
        digest=digest,
        activation=int(digest[:4], 16) / 1000,
        predictions=[[7, 0.5]],
        artifacts=[
            StoredArtifact("image", f"{named}.png", "image/png", 123, 32, 32),
            StoredArtifact("code", f"{named}.safetensors", "application/octet-stream", 45),
        ],
        crop_box=[0, 0, 16, 16],
        provenance={"device": "test"},
    )


def real_picture(store: ObjectStore, digest: str) -> Finished:
    """A result with an artifact of each kind, whose objects are in the store."""
    made = [
        Artifact(kind, "application/octet-stream", f"{kind} of {digest}".encode()) for kind in ArtifactKind
    ]
    return dataclasses.replace(picture(digest), artifacts=[artifacts.put(store, one) for one in made])


def finish(database: Database, claimed: Claim, digests: Sequence[str] | None = None) -> set[str]:
    chosen = [work.digest for work in claimed.items] if digests is None else digests
    with database.session() as session:
        return batches.conclude(session, claimed.lease_id, finished=[picture(digest) for digest in chosen])


def fail(database: Database, claimed: Claim, *, retryable: bool = False, code: str = "broken") -> set[str]:
    with database.session() as session:
        return batches.conclude(
            session,
            claimed.lease_id,
            failures=[Failure(work.digest, code, "It cannot be done.", retryable) for work in claimed.items],
        )


def work_off(database: Database, limit: int = 64) -> int:
    """Claim and finish until nothing is left to claim; returns the number of pictures."""
    pictures = 0
    while (claimed := claim_if_any(database, limit)) is not None:
        pictures += len(finish(database, claimed))
    return pictures


def expire(database: Database, lease_id: int) -> None:
    """Let a lease's time be over, as if its worker had died long ago."""
    with database.session() as session:
        session.execute(
            text("UPDATE leases SET expires_at = now() - interval '1 second' WHERE id = :id"),
            {"id": lease_id},
        )


def hurry(database: Database) -> None:
    """Let the time pass that items wait after a failure or a crash."""
    with database.session() as session:
        session.execute(text("UPDATE visualizations SET not_before = now() WHERE not_before IS NOT NULL"))


def states(database: Database, job_id: str) -> dict[str, str]:
    """State of each item of a job, by digest."""
    with database.session() as session:
        query = text(
            "SELECT v.digest, v.state FROM job_visualizations jv JOIN visualizations v USING (digest)"
            " WHERE job_id = :id"
        )
        return {row.digest: row.state for row in session.execute(query, {"id": job_id})}


def rows_of(database: Database) -> dict[str, int]:
    """How many rows each table has that a submission writes to."""
    tables = ("jobs", "job_visualizations", "visualizations", "recipes")
    with database.session() as session:
        return {
            table: session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables
        }


def assert_consistent(database: Database) -> None:
    """What must be true at any moment between transactions, whatever happened before."""
    faults = oracle.inconsistencies(database)
    assert not faults, faults
