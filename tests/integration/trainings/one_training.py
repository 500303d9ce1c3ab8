"""A training on its way through the hands of workers, for tests of what these may do with it."""

from typing import Any

from sqlalchemy import text

from services.base.database import Database
from services.queue import workers
from services.trainings import leases as training_leases
from services.trainings import trainings
from services.trainings.leases import TrainingClaim
from services.trainings.request import TrainingRequest
from services.trainings.trainings import TrainingView
from tests.small_training import ENCODER

INFO = {"architecture": "compact", "code_shape": [16], "image_size": 32, "encoder": ENCODER}
ENDS: dict[str, Any] = {"log": "l", "card": None, "progress": {}, "samples": ()}


def submit(world: Database, name: str = "birds") -> str:
    """Its id."""
    request = TrainingRequest.model_validate({"sources": ["birds"], "pictures": 100})
    with world.session() as session:
        return trainings.submit(session, name, request).id


def claim(world: Database, seconds: float = 60, worker: str = "tester") -> TrainingClaim | None:
    """What this worker gets."""
    with world.session() as session:
        return training_leases.claim(session, worker, lease_seconds=seconds)


def claimed(world: Database, seconds: float = 60, worker: str = "tester") -> TrainingClaim:
    """The same where it must get one."""
    found = claim(world, seconds, worker)
    assert found is not None
    return found


def get(world: Database, id: str) -> TrainingView:
    """As its owner sees it."""
    with world.session() as session:
        return trainings.get(session, id)


def register_workers(world: Database, **has_data_root: bool) -> None:
    """Workers that are alive, by whether they see a data root."""
    with world.session() as session:
        for id, has in has_data_root.items():
            workers.register(session, id, host="here", device="cpu", has_data_root=has)


def pass_time(world: Database, seconds: float) -> None:
    """As if all that is known of workers and of put off trainings were so much older."""
    with world.session() as session:
        for change in (
            "workers SET seen_at = seen_at - make_interval(secs => :s), "
            "started_at = started_at - make_interval(secs => :s)",
            "trainings SET not_before = not_before - make_interval(secs => :s), "
            "stuck_since = stuck_since - make_interval(secs => :s)",
        ):
            session.execute(text(f"UPDATE {change}"), {"s": seconds})
