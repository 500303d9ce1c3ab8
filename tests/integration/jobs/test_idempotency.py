"""Idempotency keys that were used before an upgrade: the row holds the fingerprint that was made then."""

import hashlib
import json
from typing import Any

import pytest
from sqlalchemy import text

from services.access.idempotency import Submitted
from services.base.database import Database
from services.base.errors import IdempotencyKeyReused
from services.jobs.job_request import JobRequest
from services.trainings import submission as training_submission
from services.trainings.request import TrainingRequest
from tests.integration.staging import NETWORK, request, submit
from tests.small_training import register_encoder

JOB_SENT = {"network": NETWORK, "targets": [{"layer": "classifier", "units": "0-3"}]}
JOBS_OF_THEN = {
    technique: (
        f'{{"generator":null,"lane":"interactive","network":"{NETWORK}",'
        f'"recipe":{{"parameters":{{}},"technique":"{technique}"}},"seeds":[0],'
        '"targets":[{"layer":"classifier","position":null,"units":"0-3"}]}'
    )
    for technique in ("dgn-am", "auto")
}
"""The text that releases hashed: every field that they knew, filled in with the default that they had."""
TRAINING_OF_THEN: dict[str, Any] = {
    "batch": None, "checkpoint_seconds": 300, "corrupt_share": None, "feature_size": None, "held_out": None,
    "image_size": None, "learning_rate": None, "minimum": None, "options": {}, "pictures": 100,
    "precision": None, "preset": None, "sample_seconds": 300, "seed": None, "sources": ["birds"],
    "until": None, "warm_start": None,
}  # fmt: skip


def of_then(database: Database, table: str, id: str, hashed: str) -> None:
    """Make the row one that an earlier release has written."""
    stored = hashlib.sha256(hashed.encode()).hexdigest()
    with database.session() as session:
        session.execute(
            text(f"UPDATE {table} SET request_hash = :hash WHERE id = :id"), {"hash": stored, "id": id}
        )


@pytest.mark.parametrize("technique", JOBS_OF_THEN)
def test_a_job_submitted_again_after_an_upgrade_is_the_job_there_is(staged: Database, technique: str) -> None:
    wanted = JobRequest.model_validate(JOB_SENT)
    first = submit(staged, wanted, idempotency_key="k").job
    of_then(staged, "jobs", first.id, JOBS_OF_THEN[technique])
    again = submit(staged, wanted, idempotency_key="k")
    assert (again.created, again.job.id) == (False, first.id)
    for other in (
        request("0-4"),
        request("0-3", recipe={"technique": "fourier"}),
        request("0-3", lane="bulk"),
        request(targets=[{"layer": "classifier", "units": "0-3", "token": 0}]),
    ):
        with pytest.raises(IdempotencyKeyReused, match=first.id):
            submit(staged, other, idempotency_key="k")


@pytest.mark.parametrize(
    ("sent", "encoder"),
    [
        ({}, {"grid": 2, "input_size": None, "layer": "bn2", "network": "efficientnet_lite0.imagenet"}),
        (
            {"encoder": {"network": "small.random"}},
            {"grid": None, "input_size": None, "layer": "global_pool", "network": "small.random"},
        ),
        (
            {"encoder": {"input_size": 64}},
            {"grid": 2, "input_size": 64, "layer": "bn2", "network": "efficientnet_lite0.imagenet"},
        ),
    ],
)
def test_a_training_submitted_again_after_an_upgrade_is_the_training_there_is(
    database: Database, sent: dict[str, Any], encoder: dict[str, Any]
) -> None:
    register_encoder(database)

    def train(name: str, fields: dict[str, Any]) -> Submitted:
        wanted = TrainingRequest.model_validate({"sources": ["birds"], "pictures": 100, **fields})
        with database.session() as session:
            return training_submission.submit(session, name, wanted, idempotency_key="k")

    first = train("birds", {})
    whole = {"name": "birds", **TRAINING_OF_THEN, "encoder": encoder}
    of_then(database, "trainings", first.id, json.dumps(whole, sort_keys=True, separators=(",", ":")))
    assert train("birds", sent) == Submitted(first.id, created=False)
    for name, other in (("finches", sent), ("birds", {**sent, "seed": 1})):
        with pytest.raises(IdempotencyKeyReused, match=first.id):
            train(name, other)
