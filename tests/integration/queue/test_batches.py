"""What a worker may do, and what it can no longer do once its lease is lost."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.specs import Recipe
from services.base.database import Database
from services.base.states import JobState, Lane, State
from services.jobs import jobs
from services.pictures import visualizations
from services.queue import batches, takeable
from services.queue.batches import BATCHES, MAX_ATTEMPTS, Failure
from services.queue.kinds import pulse
from services.queue.reconciliation import reconcile
from tests.integration import staging
from tests.integration.staging import (
    claim,
    claim_if_any,
    expire,
    fail,
    finish,
    hurry,
    picture,
    request,
    submit,
)


def _digests(claimed: batches.Claim) -> list[str]:
    return [work.digest for work in claimed.items]


def _state(staged: Database, digest: str) -> State:
    with staged.session() as session:
        return visualizations.get(session, digest).state


def _wait(staged: Database, digest: str) -> float:
    """Seconds from the end of its last batch until it may be tried again; 0 if it is not to be."""
    wait = text("""
        SELECT extract(epoch FROM not_before - (SELECT max(ended_at) FROM leases))
        FROM visualizations WHERE digest = :digest
    """)
    with staged.session() as session:
        return float(session.execute(wait, {"digest": digest}).scalar() or 0)


def test_nothing_waits_nothing_is_claimed(staged: Database) -> None:
    assert claim_if_any(staged) is None


@pytest.mark.parametrize("near", [1, takeable.NEAR])
def test_a_worker_that_lacks_something_takes_the_rest_in_its_order(
    staged: Database, monkeypatch: pytest.MonkeyPatch, near: int
) -> None:
    monkeypatch.setattr(takeable, "NEAR", near)
    submit(staged, request("0-1"))
    submit(staged, request("0-1", layer="features.0"))
    submit(staged, request("0-1", layer="blocks.4"))
    submit(staged, request("2-3", layer="features.0"))
    first = claim(staged)
    lacks = [f"batch:{first.batch_key}", "network:another", "generator:another"]
    with staged.session() as session:
        batches.release(session, first.lease_id)
        assert batches.interactive_waits(session, lacks=lacks)
    taken = [claim(staged, lacks=lacks), claim(staged, lacks=lacks)]
    assert [batch.layer for batch in taken] == ["features.0", "blocks.4"]
    assert [work.unit for work in taken[0].items] == [0, 1, 2, 3]
    assert claim_if_any(staged, lacks=lacks) is None
    with staged.session() as session:
        assert not batches.interactive_waits(session, lacks=lacks)
        assert batches.interactive_waits(session)
    with staged.session() as session:
        for batch in taken:
            batches.release(session, batch.lease_id)
        session.execute(
            text("UPDATE visualizations SET not_before = now() + interval '1 h' WHERE layer = :of"),
            {"of": "features.0"},
        )
    assert claim(staged, lacks=lacks).layer == "blocks.4"  # what has to wait is left alone
    assert claim_if_any(staged, lacks=lacks) is None


def test_a_batch_is_of_one_network_layer_generator_and_recipe(staged: Database) -> None:
    targets = [{"layer": "blocks.4", "units": "0-4"}, {"layer": "features.0", "units": "0-2"}]
    submit(staged, request(targets=targets))
    submit(staged, request("5-6", layer="blocks.4"))
    submit(staged, request("7", layer="blocks.4", recipe={"parameters": {"steps": 3}}))
    claims = [claim(staged) for _ in range(3)]
    assert [(batch.layer, [work.unit for work in batch.items]) for batch in claims] == [
        ("blocks.4", [0, 1, 2, 3, 4, 5, 6]),
        ("features.0", [0, 1, 2]),
        ("blocks.4", [7]),
    ]
    assert claims[0].network_id == staging.NETWORK
    assert claims[0].generator_id == staging.GENERATOR
    assert (claims[0].recipe.parameters["steps"], claims[2].recipe.parameters["steps"]) == (20, 3)
    assert claim_if_any(staged) is None


def test_a_batch_has_at_most_its_limit(staged: Database) -> None:
    submit(staged, request("0-9"))
    assert [len(claim(staged, limit=4).items) for _ in range(3)] == [4, 4, 2]


def test_fences_increase(staged: Database) -> None:
    submit(staged, request("0-9"))
    fences = [claim(staged, limit=2).lease_id for _ in range(5)]
    assert fences == sorted(set(fences))


def test_no_item_is_claimed_twice_by_workers_that_claim_at_once(staged: Database) -> None:
    submit(staged, request("0-399"))

    def claim_all(worker: int) -> list[str]:
        found = []
        while (claimed := claim_if_any(staged, 7, f"worker-{worker}")) is not None:
            found += _digests(claimed)
        return found

    with ThreadPoolExecutor(8) as pool:
        claimed = [digest for found in pool.map(claim_all, range(8)) for digest in found]
    assert len(claimed) == len(set(claimed)) == 400


def test_the_lane_that_is_named_first_goes_first_and_what_waits_in_the_interactive_one_is_told(
    staged: Database,
) -> None:
    def waits() -> bool:
        with staged.session() as session:
            return batches.interactive_waits(session)

    submit(staged, request("0-9", lane=Lane.BULK))
    assert not waits()
    submit(staged, request("10-11"))
    assert waits()
    lanes = [Lane.INTERACTIVE, Lane.BULK]
    assert claim(staged, limit=1, lanes=lanes).lane == Lane.INTERACTIVE
    assert claim(staged, limit=1, lanes=lanes[::-1]).lane == Lane.BULK
    assert claim(staged, limit=1, lanes=lanes).lane == Lane.INTERACTIVE
    assert not waits()
    assert claim(staged, limit=1, lanes=lanes).lane == Lane.BULK


def test_a_claim_is_sized_by_the_kind_of_what_is_next(staged: Database) -> None:
    submit(staged, request("0-5", recipe={"parameters": {"steps": 7}}))
    asked: list[tuple[str, int]] = []

    def size(batch_key: str, recipe: Recipe) -> int:
        asked.append((batch_key, recipe.parameters["steps"]))
        return 2

    claimed = claim(staged, size=size)
    assert asked == [(claimed.batch_key, 7)]
    assert len(claimed.items) == 2
    assert len(claim(staged, limit=1, size=lambda key, recipe: 99).items) == 1
    assert len(claim(staged).items) == 3


def test_a_job_runs_from_its_first_claim(staged: Database) -> None:
    job = submit(staged, request("0-3")).job
    claim(staged, limit=1)
    running = staging.job(staged, job.id)
    assert running.state == JobState.RUNNING
    assert running.started_at is not None
    assert (running.units.leased, running.units.queued, running.queue) == (1, 3, None)


def test_a_finished_picture_has_all_that_was_reported(staged: Database) -> None:
    submit(staged, request("5"))
    claimed = claim(staged)
    digest = claimed.items[0].digest
    assert finish(staged, claimed) == {digest}
    with staged.session() as session:
        found = visualizations.get(session, digest)
    reported = picture(digest)
    assert found.state == State.DONE
    assert found.label == "class 5"
    assert found.crop_box == (0, 0, 16, 16)
    for name in ("activation", "predictions", "provenance"):
        assert getattr(found, name) == getattr(reported, name)
    assert list(found.artifacts.values()) == sorted(reported.artifacts, key=lambda artifact: artifact.kind)
    assert found.finished_at is not None


def test_an_activation_that_is_no_number_is_no_picture() -> None:
    with pytest.raises(ValueError, match="finite"):
        replace(picture("a" * 64), activation=math.nan)


def test_finishing_ends_the_job_and_the_lease_in_one_transaction(staged: Database) -> None:
    job = submit(staged, request("0-3")).job
    claimed = claim(staged)
    assert len(finish(staged, claimed, _digests(claimed)[:3])) == 3
    assert staging.job(staged, job.id).state == JobState.RUNNING
    staging.assert_consistent(staged)
    assert len(finish(staged, claimed, _digests(claimed)[3:])) == 1
    ended = staging.job(staged, job.id)
    assert ended.state == JobState.SUCCEEDED
    assert (ended.units.done, ended.units.total) == (4, 4)
    staging.assert_consistent(staged)


def test_what_was_finished_once_is_not_finished_twice(staged: Database) -> None:
    submit(staged, request("0-3"))
    claimed = claim(staged)
    digests = _digests(claimed)
    assert finish(staged, claimed, [*digests[:2], digests[0]]) == set(digests[:2])
    assert finish(staged, claimed, digests) == set(digests[2:])
    assert finish(staged, claimed, digests) == set()


def test_the_item_of_another_lease_cannot_be_finished(staged: Database) -> None:
    submit(staged, request("0-3"))
    first, second = claim(staged, limit=2), claim(staged, limit=2)
    assert finish(staged, first, _digests(second)) == set()
    assert {_state(staged, digest) for digest in _digests(second)} == {State.LEASED}


def test_a_worker_that_lost_its_lease_changes_nothing(staged: Database) -> None:
    submit(staged, request("0"))
    late = claim(staged)
    digest = late.items[0].digest
    expire(staged, late.lease_id)
    with staged.session() as session:
        reconcile(session, BATCHES)
    hurry(staged)
    quick = claim(staged, worker="worker-2")
    assert quick.items[0].digest == digest
    assert quick.lease_id > late.lease_id

    assert finish(staged, late) == set()
    assert fail(staged, late) == set()
    with staged.session() as session:
        assert batches.release(session, late.lease_id) == set()
        assert batches.conclude(session, late.lease_id, unreachable=[(digest, {})]) == set()
        assert not pulse(session, BATCHES, late.lease_id, steps=1, lease_seconds=60).alive
    assert _state(staged, digest) == State.LEASED

    assert finish(staged, quick) == {digest}
    assert finish(staged, late) == set()
    staging.assert_consistent(staged)


def test_a_heartbeat_keeps_the_lease(staged: Database) -> None:
    submit(staged, request("0"))
    claimed = claim(staged, seconds=600)

    def let_pass(session: Session, seconds: int) -> None:
        """Nobody has to wait for it, and no busy machine makes it longer."""
        shift = text("UPDATE leases SET expires_at = expires_at - make_interval(secs => :seconds)")
        session.execute(shift, {"seconds": seconds})

    for step in range(6):
        with staged.session() as session:
            let_pass(session, 300)
            assert pulse(session, BATCHES, claimed.lease_id, steps=step, lease_seconds=600).alive
            assert reconcile(session, BATCHES).expired_leases == 0
    with staged.session() as session:
        let_pass(session, 601)
        assert reconcile(session, BATCHES).expired_leases == 1
    with staged.session() as session:
        steps = session.execute(
            text("SELECT steps, outcome FROM leases WHERE id = :id"), {"id": claimed.lease_id}
        ).one()
    assert tuple(steps) == (5, "expired")


def test_released_items_keep_their_turn_and_are_charged_nothing(staged: Database) -> None:
    submit(staged, request("0-3"))
    submit(staged, request("4-5"))
    claimed = claim(staged, limit=4)
    with staged.session() as session:
        assert batches.release(session, claimed.lease_id, _digests(claimed)[1:]) == set(_digests(claimed)[1:])
    again = claim(staged, limit=4)
    assert [(work.unit, work.attempt) for work in again.items] == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert finish(staged, claimed) == {_digests(claimed)[0]}
    with staged.session() as session:
        batches.release(session, again.lease_id)
    assert [work.unit for work in claim(staged).items] == [1, 2, 3, 4, 5]
    staging.assert_consistent(staged)


def test_an_error_worth_another_try_is_tried_three_times_each_time_later(staged: Database) -> None:
    job = submit(staged, request("0")).job
    waits: list[float] = []
    for attempt in range(1, MAX_ATTEMPTS + 1):
        claimed = claim(staged)
        assert claimed.items[0].attempt == attempt
        assert staging.job(staged, job.id).state == JobState.RUNNING
        fail(staged, claimed, retryable=True, code="out_of_memory")
        # It waits before it is tried again.
        assert claim_if_any(staged) is None
        waits.append(_wait(staged, claimed.items[0].digest))
        hurry(staged)
    assert waits[1] > 1.5 * waits[0]
    ended = staging.job(staged, job.id)
    assert ended.state == JobState.FAILED
    assert [(error.code, error.count, error.message) for error in ended.errors] == [
        ("out_of_memory", 1, "It cannot be done.")
    ]
    assert claim_if_any(staged) is None
    staging.assert_consistent(staged)


def test_an_error_that_will_not_go_away_fails_at_once_and_alone(staged: Database) -> None:
    job = submit(staged, request("0-3")).job
    claimed = claim(staged)
    digests = _digests(claimed)
    with staged.session() as session:
        batches.conclude(
            session,
            claimed.lease_id,
            failures=[Failure(digests[1], "numerical", "All steps gave NaN.", False)],
        )
    assert _state(staged, digests[1]) == State.FAILED
    finish(staged, claimed)
    ended = staging.job(staged, job.id)
    assert (ended.state, ended.units.done, ended.units.failed) == (JobState.FAILED, 3, 1)
    with staged.session() as session:
        failed = jobs.items(session, job.id, state="failed").data
    assert [(item.unit, item.error) for item in failed] == [
        (1, {"code": "numerical", "message": "All steps gave NaN.", "retryable": False})
    ]


def test_an_unreachable_unit_is_a_result_and_is_not_computed_again(staged: Database) -> None:
    job = submit(staged, request("0-1")).job
    claimed = claim(staged)
    digests = _digests(claimed)
    with staged.session() as session:
        batches.conclude(session, claimed.lease_id, unreachable=[(digests[0], {"device": "test"})])
    finish(staged, claimed)
    ended = staging.job(staged, job.id)
    assert (ended.state, ended.units.done, ended.units.unreachable) == (JobState.SUCCEEDED, 1, 1)
    assert submit(staged, request("0-1")).all_cached
    assert submit(staged, request("0")).job.state == JobState.FAILED


def test_a_round_of_the_reconciler_excludes_another(staged: Database) -> None:
    submit(staged, request("0"))
    expire(staged, claim(staged).lease_id)
    with staged.session() as first:
        assert reconcile(first, BATCHES).expired_leases == 1
        with staged.session() as second:
            assert reconcile(second, BATCHES).expired_leases == 0
    staging.assert_consistent(staged)


def test_one_picture_ends_all_jobs_that_waited_for_it_only(staged: Database) -> None:
    waiting = [submit(staged, request("0-1")).job.id for _ in range(3)]
    longer = submit(staged, request("1-2")).job.id
    assert staging.rows_of(staged)["visualizations"] == 3
    finish(staged, claim(staged, limit=2))
    assert {staging.job(staged, id).state for id in waiting} == {JobState.SUCCEEDED}
    assert staging.job(staged, longer).state == JobState.RUNNING
    assert staging.work_off(staged) == 1
    assert staging.job(staged, longer).state == JobState.SUCCEEDED
    staging.assert_consistent(staged)
