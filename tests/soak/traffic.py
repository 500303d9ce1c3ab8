"""What users do while everything is under fire: submit, submit again, cancel, retry. They insist: a service
that does not answer is asked again, under the same idempotency key.
"""

import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.broker import Doorbell
from services.base.database import Database
from services.base.errors import Conflict, Unavailable
from services.base.states import Lane
from services.jobs import jobs, submission
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from tests.worker_processes import NETWORK

LAYERS = {"output": 400, "blocks.1": 16, "blocks.0": 8}
"""Layers of the small network, with how many of their units are asked for."""
STEPS = 4
AT_ONCE = 8
"""Users who submit the same thing at the same moment."""
T = TypeVar("T")


class Traffic:
    """Submits jobs of up to `largest` items, and does to them what people do."""

    def __init__(self, database: Database, doorbell: Doorbell, chance: random.Random, largest: int) -> None:
        self._database = database
        self._doorbell = doorbell
        self._chance = chance
        self._largest = largest
        self._seed = 0
        self.totals: dict[str, int] = {}
        """Items of each job that was accepted, by its id."""
        self.faults: list[str] = []

    def insist(self, action: Callable[[Session], T]) -> T:
        """`action` in a transaction, until the database answers."""
        while True:
            try:
                with self._database.session() as session:
                    return action(session)
            except Unavailable:
                time.sleep(0.2)

    def count(self, query: str) -> int:
        """A number from the database."""
        return self.insist(lambda session: int(session.execute(text(query)).scalar_one()))

    def submit(self, users: int = 1) -> None:
        """A new job, from so many users at once under one idempotency key: it must be one job."""
        request, key = self._request(), uuid.uuid4().hex

        def submit(session: Session) -> tuple[str, int]:
            job = submission.submit(session, request, idempotency_key=key, limits=Limits(20_000)).job
            return job.id, job.units.total

        with ThreadPoolExecutor(users) as pool:
            made = set(pool.map(lambda _: self.insist(submit), range(users)))
        if len(made) != 1:
            self.faults.append(f"one idempotency key, {len(made)} jobs: {sorted(made)}")
        self.totals.update(made)
        self._doorbell.ring(request.lane)

    def cancel(self) -> None:
        self._change("'queued', 'running'", jobs.cancel)

    def retry(self) -> None:
        self._change("'canceled', 'failed'", jobs.retry)

    def retry_all(self) -> int:
        """Retry every job that was canceled or failed; how many there were."""
        query = text("SELECT id FROM jobs WHERE state IN ('canceled', 'failed')")
        ids = self.insist(lambda session: list(session.scalars(query)))
        for id in ids:
            self._attempt(id, jobs.retry)
        return len(ids)

    def ring(self, times: int) -> None:
        for _ in range(times):
            self._doorbell.ring(Lane.INTERACTIVE)

    def lost_jobs(self) -> list[str]:
        """Jobs that were accepted and are not there, or not whole."""
        query = text("SELECT job_id, count(*) AS items FROM job_visualizations GROUP BY job_id")
        stored = self.insist(lambda s: {row.job_id: row.items for row in s.execute(query)})
        return [f"{id}: {stored.get(id)} of {n}" for id, n in self.totals.items() if stored.get(id) != n]

    def _request(self) -> JobRequest:
        layer = self._chance.choices(list(LAYERS), [6, 2, 1])[0]
        low = self._chance.randrange(LAYERS[layer])
        high = min(low + self._chance.randrange(1, self._largest), LAYERS[layer] - 1)
        # Mostly new pictures; now and then those of an earlier job, or some of them.
        if self._chance.random() < 0.8:
            self._seed += 1
        seeds = [self._seed] if layer == "output" else [10 * self._seed + n for n in range(4)]
        return JobRequest.model_validate(
            {
                "network": NETWORK,
                "targets": [{"layer": layer, "units": f"{low}-{high}"}],
                "recipe": {"parameters": {"steps": STEPS}},
                "seeds": seeds,
                "lane": self._chance.choice(list(Lane)),
            }
        )

    def _change(self, states: str, change: Callable[[Session, str], object]) -> None:
        query = text(f"SELECT id FROM jobs WHERE state IN ({states}) ORDER BY random() LIMIT 1")
        id = self.insist(lambda session: session.scalar(query))
        if id is not None:
            self._attempt(id, change)

    def _attempt(self, id: str, change: Callable[[Session, str], object]) -> None:
        try:
            self.insist(lambda session: change(session, id))
        except Conflict:
            return  # it has ended, or is ending, meanwhile
        self._doorbell.ring(Lane.INTERACTIVE)
