"""Atlases are paused, resumed, canceled, retried and deleted, whatever workers do meanwhile."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.atlases import changes, creation, publishing
from services.atlases.atlas_request import AtlasRequest
from services.atlases.building import steps
from services.atlases.building.replanning import TECHNIQUE_CHANGED
from services.atlases.tables import AtlasRow
from services.base.database import Database
from services.base.errors import Conflict, NotFound
from services.base.states import AtlasState
from services.jobs import jobs
from tests.integration import staging
from tests.integration.atlases.building import (
    built,
    carry_out,
    extend,
    is_planned,
    job_ids,
    make,
    pause,
    planned_by_an_earlier_release,
    resume,
    set_weights,
    step,
    units,
    view,
)
from tests.integration.staging import (
    assert_consistent,
    claim,
    claim_if_any,
    fail,
    finish,
    inspect_again,
    request,
    submit,
    work_off,
)


def test_nothing_of_a_paused_atlas_is_claimed_and_what_is_computed_ends(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-99")
    carry_out(staged, id)
    held = claim(staged, limit=16)
    pause(staged, id)
    assert claim_if_any(staged) is None
    now = view(staged, id)
    assert (now.state, now.pictures.canceled) == (AtlasState.PAUSED, 84)
    assert_consistent(staged)
    assert len(finish(staged, held)) == 16
    assert view(staged, id).pictures.done == 16
    assert_consistent(staged)


@pytest.mark.parametrize("rests", [changes.pause, changes.cancel])
def test_what_is_added_to_a_paused_or_canceled_atlas_waits_until_it_is_resumed(
    staged: Database, rests: Callable[[Session, str], AtlasRow]
) -> None:
    id = make(staged, layers="classifier", units="0-9")
    carry_out(staged, id)
    with staged.session() as session:
        rests(session, id)
    carry_out(staged, id)
    before = view(staged, id)
    extend(staged, id, facets=2, units="0-19")
    extend(staged, id, facets=2)
    now = view(staged, id)
    assert (now.state, now.pictures.total, now.pictures.queued) == (before.state, 40, 0)
    assert claim_if_any(staged) is None
    resume(staged, id)
    assert work_off(staged) == 40
    assert view(staged, id).state == AtlasState.COMPLETE
    assert_consistent(staged)


def test_a_resumed_atlas_makes_all_that_it_would_have_made(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-99")
    carry_out(staged, id)
    held = claim(staged, limit=16)
    pause(staged, id)
    finish(staged, held)
    resume(staged, id)
    assert view(staged, id).state == AtlasState.BUILDING
    assert_consistent(staged)
    assert work_off(staged) == 84
    now = view(staged, id)
    assert (now.state, now.pictures.done, now.pictures.canceled) == (AtlasState.COMPLETE, 100, 0)
    assert_consistent(staged)


def test_what_a_worker_gives_back_of_a_paused_atlas_is_not_claimed_again(staged: Database) -> None:
    from services.queue import batches

    id = make(staged, layers="classifier", units="0-99")
    carry_out(staged, id)
    held = claim(staged, limit=16)
    pause(staged, id)
    assert is_planned(staged, id)
    with staged.session() as session:
        batches.release(session, held.lease_id)
    carry_out(staged, id)
    assert claim_if_any(staged) is None
    assert view(staged, id).pictures.canceled == 100
    assert_consistent(staged)


def test_an_atlas_paused_in_the_midst_of_its_expansion_goes_on_with_it_when_it_is_resumed(
    staged: Database,
) -> None:
    id = make(staged)
    with staged.session() as session:
        steps.step(session, id, steps.JobCursor())
    pause(staged, id)
    assert len(job_ids(staged, id)) == 1
    resume(staged, id)
    assert work_off(staged) == 520
    assert view(staged, id).state == AtlasState.COMPLETE


def test_pictures_that_someone_else_wants_are_made_although_an_atlas_is_paused(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-99")
    carry_out(staged, id)
    other = submit(staged, request("90-109", lane="bulk")).job.id
    pause(staged, id)
    assert work_off(staged) == 20
    assert staging.job(staged, other).state == "succeeded"
    now = view(staged, id)
    assert (now.pictures.done, now.pictures.canceled) == (10, 90)
    assert_consistent(staged)
    submit(staged, request("0-9"))  # takes up again what was let go
    assert_consistent(staged)
    work_off(staged)
    resume(staged, id)
    assert work_off(staged) == 80
    assert view(staged, id).pictures.done == 100
    assert_consistent(staged)


def test_two_paused_atlases_do_not_keep_each_others_pictures_going(staged: Database) -> None:
    ids = [make(staged, layers="classifier", units=units) for units in ("0-99", "50-149")]
    for id in ids:
        carry_out(staged, id)
    held = claim(staged, limit=16)
    for id in ids:
        pause(staged, id)
        assert_consistent(staged)
    assert claim_if_any(staged) is None
    finish(staged, held)
    for id in ids:
        resume(staged, id)
        assert_consistent(staged)
    assert work_off(staged) == 150 - 16
    assert [view(staged, id).pictures.done for id in ids] == [100, 100]


def test_a_job_that_is_canceled_lets_go_of_what_only_a_paused_atlas_shares(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-19")
    carry_out(staged, id)
    other = submit(staged, request("0-9", lane="bulk")).job.id
    held = claim(staged, limit=4)
    pause(staged, id)
    with staged.session() as session:
        jobs.cancel(session, other)
    assert_consistent(staged)
    assert claim_if_any(staged) is None
    finish(staged, held)
    assert_consistent(staged)
    resume(staged, id)
    work_off(staged)
    assert view(staged, id).pictures.done == 20


def test_a_canceled_atlas_keeps_what_is_done_and_can_be_resumed(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-99")
    carry_out(staged, id)
    finish(staged, claim(staged, limit=16))
    with staged.session() as session:
        changes.cancel(session, id)
    carry_out(staged, id)
    now = view(staged, id)
    assert (now.state, now.pictures.done, now.pictures.canceled) == (AtlasState.CANCELED, 16, 84)
    with staged.session() as session, pytest.raises(Conflict):
        changes.pause(session, id)
    resume(staged, id)
    assert work_off(staged) == 84


def test_failures_are_listed_by_reason_and_made_again_on_request(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-19")
    carry_out(staged, id)
    fail(staged, claim(staged, limit=12), code="broken")
    fail(staged, claim(staged, limit=2), code="odd")
    work_off(staged)
    now = view(staged, id)
    assert [(error.code, error.count) for error in now.errors][:2] == [("broken", 12), ("odd", 2)] or (
        sum(error.count for error in now.errors) == now.pictures.failed
    )
    assert now.state == AtlasState.COMPLETE
    with staged.session() as session:
        changes.retry(session, id)
    assert view(staged, id).state == AtlasState.BUILDING
    carry_out(staged, id)
    assert work_off(staged) == now.pictures.failed
    again = view(staged, id)
    assert (again.state, again.pictures.failed, again.errors) == (AtlasState.COMPLETE, 0, ())
    assert_consistent(staged)
    with staged.session() as session, pytest.raises(Conflict, match="Nothing of the atlas"):
        changes.retry(session, id)


def test_what_an_earlier_version_of_a_technique_was_to_make_is_planned_anew_on_request(
    staged: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = planned_by_an_earlier_release(staged, monkeypatch, layers="classifier", units="0-19")
    first = claim(staged, limit=8)
    finish(staged, claim(staged, limit=4))
    fail(staged, first, code=TECHNIQUE_CHANGED)
    fail(staged, claim(staged, limit=3), code="broken")
    with staged.session() as session:
        publishing.publish(session, id)
    carry_out(staged, id)
    before = units(staged, id, "1", "classifier")
    with staged.session() as session:
        changes.retry(session, id)
    carry_out(staged, id)
    now = view(staged, id)
    assert (now.pictures.total, now.pictures.expanded, now.pictures.failed) == (20, 20, 0)
    shown = units(staged, id, "open", "classifier")
    assert [unit.unit for unit in shown] == [*range(20)]
    assert not {unit.facets[0].digest for unit in shown} & {work.digest for work in first.items}
    assert_consistent(staged)
    work_off(staged)
    done = view(staged, id)
    assert (done.state, done.pictures.done, done.errors) == (AtlasState.COMPLETE, 20, ())
    assert units(staged, id, "1", "classifier") == before
    assert_consistent(staged)


def test_what_failed_under_an_earlier_version_waits_until_the_network_was_inspected_by_this_release(
    staged: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = planned_by_an_earlier_release(staged, monkeypatch, layers="classifier", units="0-9")
    before = claim(staged, limit=16)
    fail(staged, before, code=TECHNIQUE_CHANGED)
    with staged.session() as session:
        session.execute(text("UPDATE networks SET inspection_due = true"))
        changes.retry(session, id)
    try:
        carry_out(staged, id)
        assert step(staged, id).wait == steps.INSPECTED_SECONDS
        assert claim_if_any(staged) is None
    finally:
        inspect_again(staged)
    carry_out(staged, id)
    now = claim(staged, limit=16)
    assert len(now.items) == 10
    assert not {work.digest for work in now.items} & {work.digest for work in before.items}
    finish(staged, now)
    assert view(staged, id).state == AtlasState.COMPLETE
    assert_consistent(staged)


def test_a_job_of_which_all_is_planned_anew_is_gone(
    staged: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = planned_by_an_earlier_release(staged, monkeypatch, layers="classifier", units="0-9")
    (job,) = job_ids(staged, id)
    fail(staged, claim(staged, limit=16), code=TECHNIQUE_CHANGED)
    with staged.session() as session:
        changes.retry(session, id)
    carry_out(staged, id)
    assert job not in job_ids(staged, id)
    assert work_off(staged) == 10
    assert view(staged, id).state == AtlasState.COMPLETE
    assert_consistent(staged)


def test_a_deleted_atlas_is_gone_at_once_and_what_others_use_stays(staged: Database) -> None:
    shared = built(staged, layers="classifier", units="0-9")
    id = make(staged, layers="classifier", units="0-99")
    carry_out(staged, id)
    with staged.session() as session:
        changes.delete(session, id)
    with pytest.raises(NotFound):
        view(staged, id)
    carry_out(staged, id)
    assert view(staged, shared).pictures.done == 10
    assert claim_if_any(staged) is None
    assert_consistent(staged)
    with staged.session() as session:
        left = {
            table: session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in ("atlases", "atlas_versions", "atlas_layers", "atlas_entries", "jobs")
        }
        done = session.execute(text("SELECT count(*) FROM visualizations WHERE state = 'done'")).scalar_one()
    assert left == {"atlases": 1, "atlas_versions": 1, "atlas_layers": 1, "atlas_entries": 10, "jobs": 1}
    assert done == 10


def test_the_idempotency_key_of_a_deleted_atlas_makes_another_one(staged: Database) -> None:
    asked = AtlasRequest.model_validate({"network": staging.NETWORK, "layers": "classifier", "units": "0-9"})
    made = []
    for _ in range(2):
        with staged.session() as session:
            row, is_new = creation.create(session, asked, idempotency_key="night")
            made.append(row.id)
        assert is_new
        with staged.session() as session:
            changes.delete(session, row.id)
    assert made[0] != made[1]


@pytest.mark.parametrize("act", [jobs.cancel, jobs.retry])
def test_a_part_of_an_atlas_is_not_changed_by_itself(staged: Database, act: object) -> None:
    id = make(staged, layers="classifier", units="0-9")
    carry_out(staged, id)
    with staged.session() as session, pytest.raises(Conflict, match="part of an atlas"):
        act(session, job_ids(staged, id)[0])  # type: ignore[operator]


def test_an_atlas_of_a_network_that_has_changed_is_read_but_not_added_to(staged: Database) -> None:
    id = built(staged, layers="classifier", units="0-9")
    before = set_weights(staged, "d" * 64)
    try:
        assert view(staged, id).outdated
        for act in (changes.resume, changes.retry):
            with staged.session() as session, pytest.raises(Conflict, match="make a new atlas"):
                act(session, id)
        with pytest.raises(Conflict, match="make a new atlas"):
            extend(staged, id, facets=2)
        assert view(staged, id).pictures.done == 10
    finally:
        set_weights(staged, before)


def test_an_atlas_whose_network_changes_while_it_is_planned_ends_with_what_it_has(staged: Database) -> None:
    id = make(staged, layers=["classifier", "blocks.4"], units="0-39")
    step(staged, id)
    before = set_weights(staged, "d" * 64)
    try:
        carry_out(staged, id)
        assert view(staged, id).state == AtlasState.PLANNING  # what is planned is still to end
        fail(staged, claim(staged), code="network_changed")
        carry_out(staged, id)
        now = view(staged, id)
        assert (now.state, now.outdated, now.ended) == (AtlasState.CANCELED, True, True)
        assert now.pictures.failed == now.pictures.expanded == 16
    finally:
        set_weights(staged, before)


def test_an_atlas_whose_network_cannot_be_used_says_so_and_goes_on_once_it_can(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-9")
    said = "UPDATE networks SET state = 'failed', error = 'Its file is gone.'"
    with staged.session() as session:
        session.execute(text(said))
    try:
        waits = step(staged, id).wait
        assert waits is not None
        assert waits > 0
        assert "cannot be used: Its file is gone." in str(view(staged, id).problem)
    finally:
        with staged.session() as session:
            session.execute(text("UPDATE networks SET state = 'ready', error = NULL"))
    carry_out(staged, id)
    assert (view(staged, id).state, view(staged, id).problem) == (AtlasState.BUILDING, None)
