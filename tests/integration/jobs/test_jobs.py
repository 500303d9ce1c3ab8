"""Reading, canceling and retrying jobs."""

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.base.errors import Conflict, Invalid, NotFound
from services.base.states import JobState, Lane
from services.jobs import jobs
from services.jobs.jobs import JobItem
from services.jobs.progress import JobView
from services.queue import batches
from services.queue.batches import BATCHES
from services.queue.kinds import pulse
from services.queue.reconciliation import reconcile
from tests.integration import staging
from tests.integration.staging import claim, claim_if_any, expire, fail, finish, request, submit, work_off


def _cancel(staged: Database, id: str) -> JobView:
    with staged.session() as session:
        return jobs.cancel(session, id)


def _retry(staged: Database, id: str) -> JobView:
    with staged.session() as session:
        return jobs.retry(session, id)


def test_a_job_that_is_not_there_is_not_found(staged: Database) -> None:
    for act in (jobs.get, jobs.cancel, jobs.retry, jobs.items):
        with pytest.raises(NotFound), staged.session() as session:
            act(session, "job_00000000000000000000000000")


def test_a_waiting_job_is_canceled_at_once(staged: Database) -> None:
    id = submit(staged, request("0-3")).job.id
    canceled = _cancel(staged, id)
    assert (canceled.state, canceled.units.canceled) == (JobState.CANCELED, 4)
    assert canceled.finished_at is not None
    assert claim_if_any(staged) is None
    assert _cancel(staged, id).state == JobState.CANCELED
    staging.assert_consistent(staged)


def test_a_running_job_is_canceling_until_its_worker_has_let_go(staged: Database) -> None:
    id = submit(staged, request("0-5")).job.id
    claimed = claim(staged, limit=3)
    digests = [work.digest for work in claimed.items]
    finish(staged, claimed, digests[:1])
    canceling = _cancel(staged, id)
    assert (canceling.state, canceling.units.done, canceling.units.canceled) == (JobState.CANCELING, 1, 5)
    with staged.session() as session:
        heard = pulse(session, BATCHES, claimed.lease_id, steps=3, lease_seconds=60)
    assert heard.alive
    assert heard.canceled == set(digests[1:])
    with staged.session() as session:
        assert batches.release(session, claimed.lease_id, heard.canceled) == set()
    ended = staging.job(staged, id)
    assert (ended.state, ended.units.done, ended.units.canceled) == (JobState.CANCELED, 1, 5)
    staging.assert_consistent(staged)


def test_a_picture_of_a_canceled_item_is_not_accepted(staged: Database) -> None:
    id = submit(staged, request("0-1")).job.id
    claimed = claim(staged)
    _cancel(staged, id)
    assert finish(staged, claimed) == set()
    assert staging.job(staged, id).state == JobState.CANCELED
    assert set(staging.states(staged, id).values()) == {"canceled"}
    staging.assert_consistent(staged)


def test_a_canceling_job_ends_when_its_worker_is_dead(staged: Database) -> None:
    id = submit(staged, request("0-1")).job.id
    claimed = claim(staged)
    assert _cancel(staged, id).state == JobState.CANCELING
    expire(staged, claimed.lease_id)
    with staged.session() as session:
        assert reconcile(session, BATCHES).requeued == 0
    assert staging.job(staged, id).state == JobState.CANCELED
    staging.assert_consistent(staged)


def test_what_another_live_job_wants_goes_on(staged: Database) -> None:
    first, second = submit(staged, request("0-3")).job.id, submit(staged, request("2-5")).job.id
    claimed = claim(staged, limit=3)
    canceled = _cancel(staged, first)
    assert (canceled.state, canceled.units.canceled) == (JobState.CANCELING, 4)
    assert sorted(staging.states(staged, second).values()) == ["leased", "queued", "queued", "queued"]
    with staged.session() as session:
        items = {item.unit: item.state for item in jobs.items(session, first).data}
    assert set(items.values()) == {"canceled"}
    assert len(finish(staged, claimed)) == 1
    assert work_off(staged) == 3
    assert staging.job(staged, second).state == JobState.SUCCEEDED
    # What went on for another job does not change how this one ended.
    ended = staging.job(staged, first)
    assert (ended.state, ended.units.done, ended.units.canceled) == (JobState.CANCELED, 0, 4)
    staging.assert_consistent(staged)


def test_the_last_job_to_be_canceled_takes_its_items_with_it(staged: Database) -> None:
    first, second = submit(staged, request("0-3")).job.id, submit(staged, request("0-3")).job.id
    _cancel(staged, first)
    assert set(staging.states(staged, second).values()) == {"queued"}
    _cancel(staged, second)
    assert set(staging.states(staged, second).values()) == {"canceled"}
    staging.assert_consistent(staged)


def test_a_job_that_has_ended_cannot_be_canceled(staged: Database) -> None:
    id = submit(staged, request("0")).job.id
    work_off(staged)
    with pytest.raises(Conflict, match="succeeded"):
        _cancel(staged, id)


def test_canceled_items_asked_for_again_are_queued_anew_even_while_a_worker_has_them(
    staged: Database,
) -> None:
    first = submit(staged, request("0-1")).job.id
    late = claim(staged)
    assert _cancel(staged, first).state == JobState.CANCELING
    second = submit(staged, request("0-1")).job
    assert second.units.queued == 2
    assert staging.job(staged, first).state == JobState.CANCELED
    assert finish(staged, late) == set()
    assert work_off(staged) == 2
    assert staging.job(staged, second.id).state == JobState.SUCCEEDED


def test_retry_queues_what_failed_with_all_its_attempts(staged: Database) -> None:
    id = submit(staged, request("0-3")).job.id
    claimed = claim(staged, limit=2)
    fail(staged, claimed)
    work_off(staged)
    assert staging.job(staged, id).state == JobState.FAILED
    retried = _retry(staged, id)
    assert (retried.state, retried.units.queued, retried.units.done) == (JobState.QUEUED, 2, 2)
    assert retried.finished_at is None
    assert retried.errors == ()
    again = claim(staged)
    assert [(work.unit, work.attempt) for work in again.items] == [(0, 1), (1, 1)]
    finish(staged, again)
    assert staging.job(staged, id).state == JobState.SUCCEEDED
    staging.assert_consistent(staged)


def test_retry_of_a_running_job_takes_what_has_failed_so_far(staged: Database) -> None:
    id = submit(staged, request("0-3")).job.id
    fail(staged, claim(staged, limit=2))
    held = claim(staged, limit=1)
    retried = _retry(staged, id)
    assert (retried.state, retried.units.queued, retried.units.leased) == (JobState.RUNNING, 3, 1)
    finish(staged, held)
    assert work_off(staged) == 3
    assert staging.job(staged, id).state == JobState.SUCCEEDED


def test_retry_revives_a_canceled_job(staged: Database) -> None:
    first, second = submit(staged, request("0-3")).job.id, submit(staged, request("2-3")).job.id
    _cancel(staged, first)
    work_off(staged)
    retried = _retry(staged, first)
    assert (retried.state, retried.units.queued, retried.units.done) == (JobState.QUEUED, 2, 2)
    work_off(staged)
    assert staging.job(staged, first).state == staging.job(staged, second).state == JobState.SUCCEEDED
    staging.assert_consistent(staged)


def test_retry_of_a_canceled_job_that_others_have_finished_succeeds_at_once(staged: Database) -> None:
    first = submit(staged, request("0-3")).job.id
    submit(staged, request("0-3"))
    _cancel(staged, first)
    work_off(staged)
    assert _retry(staged, first).state == JobState.SUCCEEDED


def test_there_must_be_something_to_retry(staged: Database) -> None:
    id = submit(staged, request("0")).job.id
    with pytest.raises(Conflict, match="no item that failed"):
        _retry(staged, id)
    claim(staged)
    _cancel(staged, id)
    with pytest.raises(Conflict, match="being canceled"):
        _retry(staged, id)


def test_items_come_in_the_order_of_the_request_page_by_page(staged: Database) -> None:
    targets = [{"layer": "features.0", "units": "4-7"}, {"layer": "output", "units": "0-4"}]
    id = submit(staged, request(targets=targets)).job.id
    finish(staged, claim(staged, limit=2))
    found: list[JobItem] = []
    cursor, pages = None, 0
    with staged.session() as session:
        while True:
            page = jobs.items(session, id, cursor=cursor, limit=4)
            found += page.data
            pages += 1
            if (cursor := page.next_cursor) is None:
                break
        done = jobs.items(session, id, state="done")
    assert pages == 3
    assert [(item.layer, item.unit) for item in found] == [
        *(("features.0", unit) for unit in range(4, 8)),
        *(("classifier", unit) for unit in range(5)),
    ]
    assert [item.label for item in found[3:6]] == [None, "class 0", "class 1"]
    assert [item.unit for item in done.data] == [4, 5]
    assert done.next_cursor is None


def test_a_page_of_items_in_a_rare_state_looks_at_few_and_goes_on_where_it_stopped(
    staged: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = submit(staged, request("0-29")).job.id
    with staged.session() as session:
        done = "UPDATE visualizations SET state = 'done', finished_at = now() WHERE unit IN (13, 14, 27)"
        session.execute(text(done))
    monkeypatch.setattr(jobs, "LOOKED_AT", 10)
    monkeypatch.setattr(jobs, "_LOOKED_AT_ONCE", 4)
    pages: list[list[int]] = []
    cursor = None
    with staged.session() as session:
        while not pages or cursor is not None:
            page = jobs.items(session, id, state="done", limit=2, cursor=cursor)
            pages.append([item.unit for item in page.data])
            cursor = page.next_cursor
    assert pages == [[], [13, 14], [27]]
    with staged.session() as session:
        assert [item.unit for item in jobs.items(session, id, limit=3).data] == [0, 1, 2]


def test_jobs_are_listed_the_newest_first(staged: Database) -> None:
    ids = [submit(staged, request(str(unit))).job.id for unit in range(5)]
    finish(staged, claim(staged, limit=2))
    with staged.session() as session:
        first = jobs.list(session, limit=3)
        second = jobs.list(session, limit=3, cursor=first.next_cursor)
        queued = jobs.list(session, state="queued")
    assert [job.id for job in (*first.data, *second.data)] == ids[::-1]
    assert second.next_cursor is None
    assert [job.id for job in queued.data] == ids[:1:-1]
    # Listed and alone, a job is the same.
    assert queued.data[0].queue == staging.job(staged, ids[4]).queue


@pytest.mark.parametrize(
    "cursor", ["", "x", "bnVsbA", "W10", "WyJpdGVtcyIsIDFd", "WyJqb2JzIiwgIlx1MDAwMCJd", "é"]
)
def test_a_cursor_that_is_none_of_this_list_is_refused(staged: Database, cursor: str) -> None:
    with pytest.raises(Invalid, match="/cursor"), staged.session() as session:
        jobs.list(session, cursor=cursor)


def test_a_wrong_limit_or_state_is_refused(staged: Database) -> None:
    with staged.session() as session:
        for wrong in (0, 201):
            with pytest.raises(Invalid, match="/limit"):
                jobs.list(session, limit=wrong)
        with pytest.raises(Invalid, match="/state: must be one of queued"):
            jobs.list(session, state="waiting")


def test_a_waiting_job_knows_what_goes_before_it(staged: Database) -> None:
    submit(staged, request("0-9"))
    submit(staged, request("20-39", lane=Lane.BULK))
    second = submit(staged, request("10-14")).job
    bulk = submit(staged, request("40-49", lane=Lane.BULK)).job
    assert second.queue is not None
    assert (second.queue.position, second.queue.ahead_units) == (1, 10)
    assert bulk.queue is not None
    assert (bulk.queue.position, bulk.queue.ahead_units) == (3, 35)
    assert second.eta is None  # nobody works
    work_off(staged, limit=10)
    assert staging.job(staged, bulk.id).state == JobState.SUCCEEDED


def test_the_rate_follows_from_what_was_finished_lately(staged: Database) -> None:
    id = submit(staged, request("0-9")).job.id
    finish(staged, claim(staged, limit=5))
    running = staging.job(staged, id)
    assert running.rate is not None
    assert running.rate > 0
    waiting = submit(staged, request("20-24", lane=Lane.BULK)).job
    assert waiting.queue is not None
    assert waiting.queue.ahead_units == 5
