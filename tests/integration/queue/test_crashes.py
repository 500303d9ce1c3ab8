"""Tell items that crash workers from workers that were killed from outside."""

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.base.states import JobState
from services.queue import batches
from services.queue.batches import BATCHES
from services.queue.crash_rule import CRASHES_ALONE
from services.queue.reconciliation import Reconciled, reconcile
from tests.integration import staging
from tests.integration.staging import (
    claim,
    claim_if_any,
    expire,
    finish,
    hurry,
    request,
    submit,
)


def test_after_a_crash_each_item_is_tried_alone_and_the_innocent_are_cleared(staged: Database) -> None:
    job = submit(staged, request("0-3")).job
    claimed = claim(staged)
    expire(staged, claimed.lease_id)
    with staged.session() as session:
        found = reconcile(session, BATCHES)
    assert (found.expired_leases, found.requeued, found.poisoned) == (1, 4, 0)
    # What was never in that batch is not held up by them.
    submit(staged, request("4-9"))
    assert [work.unit for work in claim(staged).items] == [4, 5, 6, 7, 8, 9]
    hurry(staged)
    alone = [claim(staged) for _ in range(4)]
    assert [[work.unit for work in batch.items] for batch in alone] == [[0], [1], [2], [3]]
    for batch in alone:
        finish(staged, batch)
    assert staging.job(staged, job.id).state == JobState.SUCCEEDED
    staging.assert_consistent(staged)


def test_an_item_that_was_in_a_crash_joins_no_batch(staged: Database) -> None:
    submit(staged, request("0-1"))
    first = claim(staged)
    submit(staged, request("2-3"))
    expire(staged, claim(staged).lease_id)
    with staged.session() as session:
        reconcile(session, BATCHES)
    with staged.session() as session:
        batches.release(session, first.lease_id)
    hurry(staged)
    assert [[work.unit for work in claim(staged).items] for _ in range(3)] == [[0, 1], [2], [3]]


def _die(staged: Database, *claims: batches.Claim) -> Reconciled:
    """The worker that holds these leases is killed, and the reconciler comes by."""
    for claimed in claims:
        expire(staged, claimed.lease_id)
    with staged.session() as session:
        return reconcile(session, BATCHES)


@pytest.mark.parametrize("company", [3, 0])
def test_three_crashes_alone_are_final(staged: Database, company: int) -> None:
    job = submit(staged, request([0, *range(1, company + 1)])).job
    crashes = 0
    while (claimed := claim_if_any(staged, worker=f"worker-{crashes}")) is not None:
        if claimed.items[0].unit == 0:
            crashes += 1
            _die(staged, claimed)
            hurry(staged)
        else:
            finish(staged, claimed)
    assert crashes == CRASHES_ALONE + (1 if company else 0)
    ended = staging.job(staged, job.id)
    assert (ended.state, ended.units.done, ended.units.failed) == (JobState.FAILED, company, 1)
    assert [error.code for error in ended.errors] == ["poisoned"]
    staging.assert_consistent(staged)


def test_after_a_crash_an_item_waits_longer_each_time_and_others_go_first(staged: Database) -> None:
    submit(staged, request("0"))
    waits = []
    for crash in range(CRASHES_ALONE - 1):
        _die(staged, claim(staged, worker=f"worker-{crash}"))
        assert claim_if_any(staged) is None
        with staged.session() as session:
            wait = text("SELECT extract(epoch FROM not_before - now()) FROM visualizations")
            waits.append(session.execute(wait).scalar_one())
        hurry(staged)
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0] > 0


def test_who_kills_every_worker_from_outside_condemns_no_item_while_others_wait(staged: Database) -> None:
    job = submit(staged, request("0-7")).job
    _die(staged, claim(staged, limit=8))
    hurry(staged)
    for kill in range(2 * 8):  # whatever a worker computes alone, it is killed then
        _die(staged, claim(staged, worker=f"worker-{kill}"))
        if kill == 7:
            hurry(staged)  # all of them have waited; before that, none was tried twice
    assert staging.job(staged, job.id).units.failed == 0
    hurry(staged)
    assert staging.work_off(staged) == 8
    assert staging.job(staged, job.id).state == JobState.SUCCEEDED


def test_an_item_that_was_only_being_delivered_is_not_to_blame(staged: Database) -> None:
    job = submit(staged, request("0")).job
    for death in range(2 * CRASHES_ALONE):
        delivered = claim(staged, worker=f"worker-{death}")
        assert [work.unit for work in delivered.items] == [0]
        # A worker claims again as soon as it has computed a batch. Either lease may lapse first.
        submit(staged, request([1 + death]))
        computed = claim(staged, worker=f"worker-{death}")
        for lapsed in (delivered, computed) if death % 2 else (computed, delivered):
            _die(staged, lapsed)
        assert staging.job(staged, job.id).units.failed == 0
        hurry(staged)
    staging.work_off(staged)
    assert staging.job(staged, job.id).state == JobState.SUCCEEDED
