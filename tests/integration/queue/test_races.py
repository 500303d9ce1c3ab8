"""Everything at once: whoever submits, works, cancels or dies, nothing is lost, doubled or stuck."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.base.errors import Conflict, Unavailable
from services.base.states import JobState, Lane
from services.jobs import jobs
from services.queue import batches
from services.queue.batches import BATCHES, Failure
from services.queue.kinds import pulse
from services.queue.reconciliation import reconcile
from tests.integration import staging
from tests.integration.staging import claim, finish, picture, request, submit, work_off


def _together(*calls: Callable[[], object]) -> list[object]:
    """Call all at the same moment in threads; what they return, in order."""
    barrier = threading.Barrier(len(calls))

    def wait_and(call: Callable[[], object]) -> object:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(wait_and, call) for call in calls]]


def _cancel(database: Database, id: str) -> None:
    """Cancel, if it has not ended yet."""
    try:
        with database.session() as session:
            jobs.cancel(session, id)
    except Conflict:
        pass


def _retry(database: Database, id: str) -> None:
    """Retry, if there is something to retry."""
    try:
        with database.session() as session:
            jobs.retry(session, id)
    except Conflict:
        pass


def test_workers_that_finish_the_last_items_at_once_end_the_job(staged: Database) -> None:
    for round in range(6):
        id = submit(staged, request("0-7", seeds=[round])).job.id
        claims = [claim(staged, limit=1) for _ in range(8)]
        _together(*(lambda claimed=claimed: finish(staged, claimed) for claimed in claims))
        assert staging.job(staged, id).state == JobState.SUCCEEDED
    staging.assert_consistent(staged)


def test_finish_and_cancel_at_once_leave_each_item_done_or_canceled(staged: Database) -> None:
    for round in range(6):
        id = submit(staged, request("0-7", seeds=[round])).job.id
        claimed = claim(staged)
        accepted, _ = _together(lambda: finish(staged, claimed), lambda: _cancel(staged, id))  # noqa: B023
        done = {digest for digest, state in staging.states(staged, id).items() if state == "done"}
        assert done == accepted
        assert staging.job(staged, id).state == (JobState.SUCCEEDED if done else JobState.CANCELED)
        staging.assert_consistent(staged)


def test_finish_and_expiry_at_once_leave_each_item_done_or_queued(staged: Database) -> None:
    for round in range(6):
        id = submit(staged, request("0-7", seeds=[round])).job.id
        claimed = claim(staged)
        staging.expire(staged, claimed.lease_id)

        def take_back() -> None:
            with staged.session() as session:
                reconcile(session, BATCHES)

        accepted, _ = _together(lambda: finish(staged, claimed), take_back)  # noqa: B023
        assert sorted(staging.states(staged, id).values()) == (["done"] if accepted else ["queued"]) * 8
        staging.assert_consistent(staged)
        staging.hurry(staged)
        work_off(staged)


def test_cancel_of_one_job_and_submit_of_another_never_strand_an_item(staged: Database) -> None:
    for round in range(6):
        first = submit(staged, request("0-19", seeds=[round])).job.id
        _, second = _together(
            lambda: _cancel(staged, first),  # noqa: B023
            lambda: submit(staged, request("10-29", seeds=[round])).job.id,  # noqa: B023
        )
        staging.assert_consistent(staged)
        assert work_off(staged) == 20
        assert staging.job(staged, str(second)).state == JobState.SUCCEEDED


def test_jobs_that_share_items_are_canceled_at_once_without_a_deadlock(staged: Database) -> None:
    for round in range(3):
        ids = [submit(staged, request("0-99", seeds=[round])).job.id for _ in range(6)]
        _together(*(lambda id=id: _cancel(staged, id) for id in ids))
        assert {staging.job(staged, id).state for id in ids} == {JobState.CANCELED}
        assert set(staging.states(staged, ids[0]).values()) == {"canceled"}
    staging.assert_consistent(staged)


def test_cancel_and_retry_of_one_job_at_once_leave_it_whole(staged: Database) -> None:
    for round in range(6):
        id = submit(staged, request("0-19", seeds=[round])).job.id
        staging.fail(staged, claim(staged, limit=10))
        calls = [lambda: _cancel(staged, id), lambda: _retry(staged, id)] * 2  # noqa: B023
        _together(*calls)
        staging.assert_consistent(staged)
        _cancel(staged, id)


class Turmoil:
    """Threads that do for some seconds whatever users and workers do, over few items at a time, so that they
    meet.
    """

    UNITS = 60
    SEEDS_A_SECOND = 2
    """Other items after a while, or everything would soon be done."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.until = 0.0
        self.lock = threading.Lock()
        self.submitted: list[str] = []
        self.accepted: list[str] = []

    def run(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        roles = [self.user] * 4 + [self.worker] * 4 + [self.impatient] * 3 + [self.reconciler] * 2
        with ThreadPoolExecutor(len(roles)) as pool:
            futures = [pool.submit(role, random.Random(index)) for index, role in enumerate(roles)]
            for future in futures:
                future.result()

    def user(self, chance: random.Random) -> None:
        while time.monotonic() < self.until:
            low = chance.randrange(self.UNITS)
            units = list(range(low, min(low + chance.randrange(1, 30), self.UNITS)))
            chance.shuffle(units)
            seed = int((self.until - time.monotonic()) * self.SEEDS_A_SECOND) + 1
            layer, lane = chance.choice(["classifier", "blocks.4"]), chance.choice(list(Lane))
            id = submit(self.database, request(units, layer, lane=lane, seeds=[seed])).job.id
            with self.lock:
                self.submitted.append(id)

    def worker(self, chance: random.Random) -> None:
        while time.monotonic() < self.until:
            claimed = staging.claim_if_any(self.database, chance.randrange(1, 20), seconds=0.3)
            if claimed is None:
                continue
            digests = [work.digest for work in claimed.items]
            fate = chance.random()
            if fate < 0.15:
                continue  # killed
            if fate < 0.25:
                time.sleep(0.4)  # stopped for longer than its lease, and going on
            half = digests[: len(digests) // 2]
            with self.database.session() as session:
                heard = pulse(session, BATCHES, claimed.lease_id, steps=1, lease_seconds=0.3)
            with self.database.session() as session:
                if fate < 0.4:
                    batches.release(session, claimed.lease_id, half or None)
                elif fate < 0.6:
                    failures = [
                        Failure(digest, "broken", "Broken.", chance.random() < 0.7) for digest in half
                    ]
                    batches.conclude(session, claimed.lease_id, failures=failures)
            with self.database.session() as session:
                left = [picture(digest) for digest in digests if digest not in heard.canceled]
                accepted = batches.conclude(session, claimed.lease_id, finished=left)
            with self.lock:
                self.accepted += accepted
            with self.database.session() as session:
                batches.release(session, claimed.lease_id)

    def impatient(self, chance: random.Random) -> None:
        while time.monotonic() < self.until:
            with self.lock:
                id = chance.choice(self.submitted) if self.submitted else None
            if id is not None:
                chance.choice([_cancel, _cancel, _retry])(self.database, id)
            time.sleep(0.01)

    def reconciler(self, chance: random.Random) -> None:
        while time.monotonic() < self.until:
            with self.database.session() as session:
                reconcile(session, BATCHES)
            time.sleep(0.05)


def test_turmoil_ends_with_every_job_ended_and_every_item_explained(staged: Database) -> None:
    turmoil = Turmoil(staged)
    # Raises what any thread raised, a deadlock among it. On a busy machine every lease may lapse for a while.
    while not turmoil.accepted:
        turmoil.run(seconds=4)
    assert turmoil.submitted
    assert len(turmoil.accepted) == len(set(turmoil.accepted)), "a picture was accepted twice"
    time.sleep(0.4)
    with staged.session() as session:
        reconcile(session, BATCHES)
    staging.assert_consistent(staged)
    staging.hurry(staged)
    work_off(staged)
    staging.assert_consistent(staged)
    with staged.session() as session:
        open_jobs = session.execute(text("SELECT count(*) FROM jobs WHERE finished_at IS NULL")).scalar_one()
        open_items = session.execute(
            text("SELECT count(*) FROM visualizations WHERE state IN ('queued', 'leased')")
        ).scalar_one()
    assert (open_jobs, open_items) == (0, 0)


@pytest.mark.parametrize(
    "ended_by",
    [
        "SET TRANSACTION READ ONLY",
        "SET LOCAL idle_in_transaction_session_timeout = 20",
        "SET LOCAL transaction_timeout = 20",
    ],
)
def test_a_transaction_that_the_server_ends_or_does_not_write_may_be_tried_again(
    database: Database, ended_by: str
) -> None:
    def write() -> None:
        with database.session() as session:
            session.execute(text(ended_by))
            time.sleep(0.2)
            session.execute(text("INSERT INTO tallies (name, value) VALUES ('tried', 1)"))

    with pytest.raises(Unavailable, match="database"):
        write()
