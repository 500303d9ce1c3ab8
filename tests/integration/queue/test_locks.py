"""Locks are taken in one order, by everybody: the lease, then visualizations by digest, then jobs by id.

Each test lets a transaction run into one row that another holds, and looks at what it has locked by then.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database
from services.jobs import jobs, submission
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from services.queue import batches
from services.queue.batches import BATCHES, Claim, Failure
from services.queue.reconciliation import reconcile
from tests.integration import staging
from tests.integration.queue.row_locks import Acting, lay_out_backwards, locked_while_waiting, pid_of
from tests.integration.staging import claim, expire, fail, picture, request, submit

Action = Callable[[Session], object]


@dataclass(frozen=True)
class Stage:
    """What an action works on: rows by their keys, ascending."""

    action: Action
    leases: list[int]
    visualizations: list[str]
    jobs: list[str]


def _submission(wanted: JobRequest) -> Action:
    return lambda session: submission.submit(session, wanted, limits=Limits(1_000_000))


def _ascending(staged: Database, query: str) -> list[str]:
    with staged.session() as session:
        return list(session.scalars(text(query)))


def _two_jobs(staged: Database) -> list[str]:
    """Two jobs that want the same items."""
    return [submit(staged, request("0-5")).job.id for _ in range(2)]


def _two_canceled_jobs(staged: Database, *limits: int) -> list[Claim]:
    """Two jobs of other items each, canceled while workers compute all of them in batches of these sizes."""
    ids = [submit(staged, request(units)).job.id for units in ("0-2", "3-5")]
    claims = [claim(staged, limit=limit, worker=f"worker-{n}") for n, limit in enumerate(limits)]
    for id in ids:
        with staged.session() as session:
            jobs.cancel(session, id)
    return claims


def _of(staged: Database, action: Action, claims: list[Claim], digests: list[str]) -> Stage:
    ids = _ascending(staged, "SELECT id FROM jobs ORDER BY id")
    return Stage(action, sorted(claimed.lease_id for claimed in claims), sorted(digests), ids)


def _digests(*claims: Claim) -> list[str]:
    return [work.digest for claimed in claims for work in claimed.items]


def _claiming(staged: Database) -> Stage:
    _two_jobs(staged)
    return _of(staged, lambda s: batches.claim(s, "w", limit=6, lease_seconds=60), [], [])


def _finishing(staged: Database) -> Stage:
    _two_jobs(staged)
    claimed = claim(staged)
    results = [picture(digest) for digest in sorted(_digests(claimed), reverse=True)]
    return _of(
        staged,
        lambda s: batches.conclude(s, claimed.lease_id, finished=results),
        [claimed],
        _digests(claimed),
    )


def _failing(staged: Database) -> Stage:
    _two_jobs(staged)
    claimed = claim(staged)
    failures = [Failure(digest, "broken", "Broken.", False) for digest in sorted(_digests(claimed))[::-1]]
    return _of(
        staged,
        lambda s: batches.conclude(s, claimed.lease_id, failures=failures),
        [claimed],
        _digests(claimed),
    )


def _concluding(staged: Database) -> Stage:
    """The job that wants the failed items was submitted before the one that wants the pictures."""
    for units in ("0-2", "3-5"):
        submit(staged, request(units))
    claimed = claim(staged)
    bad, good = _digests(claimed)[:3], _digests(claimed)[3:]

    def conclude(session: Session) -> object:
        return batches.conclude(
            session,
            claimed.lease_id,
            finished=[picture(good[0]), picture(good[1])],
            unreachable=[(good[2], {"device": "test"})],
            failures=[Failure(digest, "broken", "Broken.", False) for digest in bad],
        )

    return _of(staged, conclude, [claimed], _digests(claimed))


def _releasing(staged: Database) -> Stage:
    [claimed] = _two_canceled_jobs(staged, 6)
    return _of(staged, lambda s: batches.release(s, claimed.lease_id), [claimed], _digests(claimed))


def _reconciling(staged: Database) -> Stage:
    claims = _two_canceled_jobs(staged, 4, 2)
    for claimed in claims:
        expire(staged, claimed.lease_id)
    return _of(staged, lambda session: reconcile(session, BATCHES), claims, _digests(*claims))


def _submitting(staged: Database) -> Stage:
    """What is there has failed, and two jobs that go on want it."""
    for _ in range(2):
        submit(staged, request("0-9"))
    claimed = claim(staged, limit=6)
    fail(staged, claimed)
    return _of(staged, _submission(request("0-5")), [], _digests(claimed))


def _canceling(staged: Database) -> Stage:
    ids = _two_jobs(staged)
    digests = _ascending(staged, "SELECT digest FROM visualizations")
    return _of(staged, lambda s: jobs.cancel(s, ids[0]), [], digests)


def _retrying(staged: Database) -> Stage:
    """A job that failed, of items that two others want, which go on."""
    id = submit(staged, request("0-5")).job.id
    for _ in range(2):
        submit(staged, request("0-9"))
    claimed = claim(staged, limit=6)
    fail(staged, claimed)
    stage = _of(staged, lambda s: jobs.retry(s, id), [], _digests(claimed))
    return Stage(stage.action, [], stage.visualizations, [other for other in stage.jobs if other != id])


def _ready(staged: Database, make: Callable[[Database], Stage]) -> Stage:
    stage = make(staged)
    for table in ("leases", "visualizations", "jobs"):
        lay_out_backwards(staged, table)
    return stage


@pytest.mark.parametrize(
    "make", [_finishing, _failing, _concluding, _releasing, _reconciling, _submitting, _canceling, _retrying]
)
def test_items_are_locked_by_digest_after_their_leases_and_before_any_job(
    staged: Database, make: Callable[[Database], Stage]
) -> None:
    stage = _ready(staged, make)
    first, *_, last = stage.visualizations
    locked = locked_while_waiting(staged, stage.action, "visualizations", first)
    assert locked == {"leases": set(stage.leases), "visualizations": set(), "jobs": set()}
    locked = locked_while_waiting(staged, stage.action, "visualizations", last)
    assert locked == {
        "leases": set(stage.leases),
        "visualizations": set(stage.visualizations[:-1]),
        "jobs": set(),
    }


@pytest.mark.parametrize(
    "make", [_claiming, _finishing, _failing, _concluding, _releasing, _reconciling, _submitting, _retrying]
)
def test_jobs_are_locked_by_id_after_all_the_items(
    staged: Database, make: Callable[[Database], Stage]
) -> None:
    stage = _ready(staged, make)
    first, *_, last = stage.jobs
    locked = locked_while_waiting(staged, stage.action, "jobs", first)
    assert locked["jobs"] == set()
    assert locked["visualizations"] >= set(stage.visualizations)
    locked = locked_while_waiting(staged, stage.action, "jobs", last)
    assert locked["jobs"] == set(stage.jobs[:-1])


@pytest.mark.parametrize("make", [_finishing, _failing, _concluding, _releasing])
def test_a_lease_is_locked_before_its_items(staged: Database, make: Callable[[Database], Stage]) -> None:
    stage = _ready(staged, make)
    locked = locked_while_waiting(staged, stage.action, "leases", stage.leases[0])
    assert locked == {"leases": set(), "visualizations": set(), "jobs": set()}


@pytest.mark.parametrize(
    "make",
    [
        _claiming,
        _finishing,
        _failing,
        _concluding,
        _releasing,
        _reconciling,
        _submitting,
        _canceling,
        _retrying,
    ],
)
def test_whoever_refers_to_a_locked_row_need_not_wait(
    staged: Database, make: Callable[[Database], Stage]
) -> None:
    """A foreign key locks what it points to against a change of the key; no key is ever changed."""
    stage = make(staged)
    with staged.session() as acting:
        stage.action(acting)
        acting.flush()
        for table in ("leases", "visualizations", "jobs"):
            with staged.session() as other:
                other.execute(text(f"SELECT 1 FROM {table} FOR KEY SHARE NOWAIT"))
        acting.rollback()


def _descending(staged: Database) -> list[int]:
    """Units 0 to 9 in such an order that their digests descend."""
    submit(staged, request("0-9"))
    units = _ascending(staged, "SELECT unit FROM visualizations ORDER BY digest DESC")
    with staged.session() as session:
        for table in ("job_visualizations", "visualizations", "jobs"):
            session.execute(text(f"DELETE FROM {table}"))
    return [int(unit) for unit in units]


def test_new_items_are_inserted_by_digest(staged: Database) -> None:
    """Whoever inserts what another has inserted and not committed waits; two must not do so crosswise."""
    units = _descending(staged)
    with staged.session() as first:
        _submission(_in_order(units[-1:]))(first)  # the lowest digest
        second = Acting(staged, _submission(_in_order(units)), undone=True)
        second.until_it_waits_for(pid_of(first))
        # Had the second inserted any other before, this would wait for it.
        with staged.session() as third:
            third.execute(text("SET LOCAL lock_timeout = '5s'"))
            _submission(_in_order(units[:-1]))(third)
            third.rollback()
    second.end()


def _in_order(units: list[int]) -> JobRequest:
    return request(targets=[{"layer": "classifier", "units": [unit]} for unit in units])


def test_a_claim_waits_for_nobody_and_takes_what_is_free(staged: Database) -> None:
    submit(staged, request("0-9"))
    claim(staged, limit=1)  # the job runs: no claim has to start it
    with staged.session() as first:
        taken = batches.claim(first, "worker-1", limit=4, lease_seconds=60)
        assert taken is not None
        with staged.session() as second:
            second.execute(text("SET LOCAL lock_timeout = '5s'"))
            free = batches.claim(second, "worker-2", limit=4, lease_seconds=60)
            assert free is not None
            assert [work.unit for work in free.items] == [5, 6, 7, 8]
            second.rollback()


def test_a_claim_finds_nothing_where_another_takes_all(staged: Database) -> None:
    submit(staged, request("0-3"))
    with staged.session() as first:
        assert batches.claim(first, "worker-1", limit=4, lease_seconds=60) is not None
        with staged.session() as second:
            second.execute(text("SET LOCAL lock_timeout = '5s'"))
            assert batches.claim(second, "worker-2", limit=4, lease_seconds=60) is None


def test_an_item_that_is_tried_alone_is_claimed_by_one_worker(staged: Database) -> None:
    submit(staged, request("0-1"))
    expire(staged, claim(staged).lease_id)
    with staged.session() as session:
        reconcile(session, BATCHES)
    staging.hurry(staged)
    with staged.session() as first, staged.session() as second:
        second.execute(text("SET LOCAL lock_timeout = '5s'"))
        taken = [batches.claim(s, "w", limit=9, lease_seconds=60) for s in (first, second)]
        assert [[work.unit for work in claimed.items] for claimed in taken if claimed] == [[0], [1]]
        first.rollback()


def test_the_reconciler_leaves_a_lease_that_is_just_being_finished(staged: Database) -> None:
    id = submit(staged, request("0-3")).job.id
    claimed = claim(staged)
    expire(staged, claimed.lease_id)
    with staged.session() as worker:
        results = [picture(d) for d in _digests(claimed)]
        assert len(batches.conclude(worker, claimed.lease_id, finished=results)) == 4
        with staged.session() as other:
            other.execute(text("SET LOCAL lock_timeout = '5s'"))
            assert reconcile(other, BATCHES).expired_leases == 0
    assert staging.job(staged, id).state == "succeeded"
    assert _ascending(staged, "SELECT outcome FROM leases") == ["finished"]


def test_counts_of_two_workers_that_meet_in_a_job_add_up(staged: Database) -> None:
    id = submit(staged, request("0-5")).job.id
    claims = [claim(staged, limit=2) for _ in range(2)]
    with staged.session() as first:
        batches.conclude(first, claims[0].lease_id, finished=[picture(d) for d in _digests(claims[0])])
        results = [picture(digest) for digest in _digests(claims[1])]
        second = Acting(staged, lambda s: batches.conclude(s, claims[1].lease_id, finished=results))
        second.until_it_waits_for(pid_of(first))
    second.end()
    assert staging.job(staged, id).units.done == 4
    staging.assert_consistent(staged)


def test_what_is_canceled_while_it_is_finished_is_one_of_both(staged: Database) -> None:
    id = submit(staged, request("0-5")).job.id
    claimed = claim(staged)
    with staged.session() as first:
        jobs.cancel(first, id)
        results = [picture(digest) for digest in _digests(claimed)]
        second = Acting(staged, lambda s: batches.conclude(s, claimed.lease_id, finished=results))
        second.until_it_waits_for(pid_of(first))
    second.end()
    assert set(staging.states(staged, id).values()) == {"canceled"}
    staging.assert_consistent(staged)
