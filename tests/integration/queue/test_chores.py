"""The lease of work beside the queue, and rounds over the store."""

import pytest
from sqlalchemy import text

from imago_engine.artifacts import ArtifactKind
from services.base.database import Database
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore, generator_key
from services.pictures import losses
from services.pictures.losses import Subject
from services.queue import chores
from services.queue.batches import BATCHES, Finished, conclude
from services.queue.chores import WorkClaim
from services.queue.crash_rule import CRASHES_ALONE
from services.queue.kinds import Kind, pulse
from services.queue.reconciliation import reconcile
from services.upkeep import scrubbing, tallies
from services.upkeep.scrubbing import Cursor
from tests.integration import staging
from tests.integration.staging import claim, request, submit
from tests.store_faults import Fault, damage, faulty_store, lose


def noted(database: Database, count: int) -> list[str]:
    """Repairs of things that are not there, which a lease does not mind."""
    subjects = [f"visualization:{n}" for n in range(count)]
    with database.session() as session:
        for subject in subjects:
            chores.plan(session, "repair", subject)
            chores.plan(session, "repair", subject)
    return subjects


def take(database: Database, limit: int = 10, seconds: float = 60) -> WorkClaim | None:
    with database.session() as session:
        return chores.claim(session, "repair", "worker", limit=limit, lease_seconds=seconds)


def taken(database: Database, limit: int = 10, seconds: float = 60) -> WorkClaim:
    found = take(database, limit, seconds)
    assert found is not None
    return found


def hurry(database: Database) -> None:
    with database.session() as session:
        session.execute(text("UPDATE work SET not_before = now()"))


def expire(database: Database) -> int:
    with database.session() as session:
        session.execute(text("UPDATE leases SET expires_at = now() - interval '1 s' WHERE ended_at IS NULL"))
    with database.session() as session:
        return reconcile(session, chores.CHORES["repair"]).requeued


def test_a_task_is_claimed_once_and_ended_by_whoever_holds_it(staged: Database) -> None:
    subjects = noted(staged, 3)
    first, second = taken(staged, 2), taken(staged, 2)
    assert take(staged) is None
    assert sorted(task.subject for task in (*first.tasks, *second.tasks)) == subjects
    mine = [task.subject for task in first.tasks]
    with staged.session() as session:
        assert chores.done(session, second.lease_id, mine) == set()
        assert chores.fail(session, second.lease_id, mine[0], "x", "x") is None
        assert chores.done(session, first.lease_id, mine) == set(mine)
        assert chores.done(session, first.lease_id, mine) == set()
        assert chores.release(session, second.lease_id) == {task.subject for task in second.tasks}
    assert [task.subject for task in taken(staged).tasks] == [task.subject for task in second.tasks]


def test_what_a_dead_worker_had_is_taken_again_and_its_late_reports_change_nothing(staged: Database) -> None:
    noted(staged, 2)
    late = taken(staged)
    assert expire(staged) == 2
    with staged.session() as session:
        assert not pulse(session, chores.CHORES["repair"], late.lease_id, lease_seconds=60).alive
        assert chores.done(session, late.lease_id, [task.subject for task in late.tasks]) == set()
    hurry(staged)
    assert len(taken(staged).tasks) == 1  # alone, since one of the two may have killed the worker
    assert len(taken(staged).tasks) == 1


@pytest.mark.parametrize("company", [1, 0])
def test_what_kills_its_workers_is_given_up_and_said_why(staged: Database, company: int) -> None:
    subject = noted(staged, 1 + company)[0]
    crashes = 0
    while not (claimed := taken(staged)).tasks[0].given_up:
        assert crashes < 9
        subjects = [task.subject for task in claimed.tasks]
        if subject in subjects:
            crashes += 1
            expire(staged)
        else:
            with staged.session() as session:
                chores.done(session, claimed.lease_id, subjects)
        hurry(staged)
    assert crashes == CRASHES_ALONE + company
    with staged.session() as session:
        loss = losses.noted_loss(session, Subject.parse(subject))
    assert loss is not None
    assert loss.error is not None
    assert loss.error["code"] == "poisoned"


def looked(database: Database, worker: str) -> WorkClaim:
    with database.session() as session:
        found = chores.claim(session, "look", worker, lease_seconds=60)
    assert found is not None
    return found


def test_a_look_that_kills_its_workers_is_given_up_though_pictures_were_made_in_its_midst(
    staged: Database,
) -> None:
    with staged.session() as session:
        chores.plan(session, "look", "a b")
    for death in range(CRASHES_ALONE):
        look = looked(staged, f"worker-{death}")
        assert not look.tasks[0].given_up
        submit(staged, request([death]))
        staging.finish(staged, claim(staged, worker=f"worker-{death}"))
        staging.expire(staged, look.lease_id)
        with staged.session() as session:
            found = reconcile(session, chores.CHORES["look"])
            assert (found.requeued, found.poisoned) == ((0, 1) if death == CRASHES_ALONE - 1 else (1, 0))
        with staged.session() as session:
            rest = session.execute(text("SELECT extract(epoch FROM not_before - now()) FROM work"))
            seconds = float(rest.scalar_one())
        hurry(staged)
    assert seconds > chores.LOOK_AGAIN_SECONDS - 60, "it is not run again every few minutes"


@pytest.mark.parametrize("first", ["look", "batch"])
def test_neither_a_look_nor_a_picture_in_its_midst_is_to_blame_for_a_death(
    staged: Database, first: str
) -> None:
    with staged.session() as session:
        chores.plan(session, "look", "a b")
    job = submit(staged, request("0")).job
    for death in range(2 * CRASHES_ALONE):
        look = looked(staged, f"worker-{death}")
        assert not look.tasks[0].given_up
        batch = claim(staged, worker=f"worker-{death}")
        lapsing: list[tuple[int, Kind]] = [
            (look.lease_id, chores.CHORES["look"]),
            (batch.lease_id, BATCHES),
        ]
        for lease, kind in lapsing if first == "look" else reversed(lapsing):
            staging.expire(staged, lease)
            with staged.session() as session:
                assert reconcile(session, kind).expired_leases == 1
        hurry(staged)
        staging.hurry(staged)
    staging.work_off(staged)
    assert staging.job(staged, job.id).units.failed == 0


def test_a_round_over_the_store_goes_on_whatever_its_workers_die_of(staged: Database) -> None:
    with staged.session() as session:
        chores.plan(session, "scrub", "store")
    for death in range(110):  # more than any counter of deaths needs
        with staged.session() as session:
            claimed = chores.claim(session, "scrub", f"worker-{death}", lease_seconds=-1)
            assert claimed is not None
            assert not claimed.tasks[0].given_up
        with staged.session() as session:
            assert reconcile(session, chores.CHORES["scrub"]).requeued == 1


def test_three_failures_are_too_many(staged: Database) -> None:
    (subject,) = noted(staged, 1)
    for attempt in range(chores.MAX_ATTEMPTS):
        hurry(staged)
        claimed = taken(staged)
        with staged.session() as session:
            given_up = chores.fail(session, claimed.lease_id, subject, "broken", "It is broken.")
        assert given_up == (attempt == chores.MAX_ATTEMPTS - 1)
        assert take(staged) is None  # it waits before it is tried again


@pytest.fixture
def pictures(staged: Database, emptied: ObjectStore) -> list[Finished]:
    submit(staged, request("0-5"))
    claimed = claim(staged)
    results = [staging.real_picture(emptied, item.digest) for item in claimed.items]
    with staged.session() as session:
        conclude(session, claimed.lease_id, finished=results)
    emptied._client.put_object(Bucket=emptied._bucket, Key=generator_key("b" * 64), Body=b"?")
    return results


def scrub_round(database: Database, store: ObjectStore, rows: int = 2) -> tuple[int, int]:
    """Objects and losses of a whole round."""
    objects = lost = 0
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        done = scrubbing.scrub(database, store, Cursor.of(cursor.as_json()), rows=rows)
        objects, lost, cursor = objects + done.objects, lost + done.lost, done.cursor
        assert done.rows <= rows
    return objects, lost


def subjects_of(database: Database) -> dict[str, str]:
    with database.session() as session:
        rows = session.execute(text("SELECT subject, payload FROM work WHERE kind = 'repair'")).all()
    return {row.subject: row.payload["reason"] for row in rows}


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_a_round_looks_at_every_object_and_notes_what_is_wrong(
    staged: Database,
    emptied: ObjectStore,
    shared_settings: Settings,
    pictures: list[Finished],
    rows: int,
) -> None:
    lose(emptied, pictures[1].objects[0])
    damage(shared_settings, pictures[2].objects[-1])
    # The generator's file is damaged in any case: its bytes are not those that the tests' catalog names.
    assert scrub_round(staged, emptied, rows) == (1 + len(ArtifactKind) * len(pictures), 3)
    assert subjects_of(staged) == {
        f"generator:{staging.GENERATOR}": "damaged",
        f"visualization:{pictures[1].digest}": "missing",
        f"visualization:{pictures[2].digest}": "damaged",
    }
    with staged.session() as session:
        counted = tallies.read(session)
    assert counted["scrubbed_objects"] == 1 + len(ArtifactKind) * len(pictures)
    assert counted["found_missing_by_scrub"] == 1
    assert counted["found_damaged_by_scrub"] == 2
    staging.assert_consistent(staged)


def test_a_slice_that_is_cut_short_goes_on_where_it_stopped(
    staged: Database, emptied: ObjectStore, pictures: list[Finished]
) -> None:
    at = Cursor("visualizations")
    leave = iter([True, True, False])
    first = scrubbing.scrub(staged, emptied, at, rows=6, may_go_on=lambda: next(leave))
    assert first.rows == 2
    assert first.cursor is not None
    second = scrubbing.scrub(staged, emptied, first.cursor, rows=6)
    assert (second.rows, second.cursor) == (4, None)


@pytest.mark.parametrize("fault", ["500", "cut", "closed"])
def test_a_store_that_fails_has_lost_nothing(
    staged: Database,
    emptied: ObjectStore,
    shared_settings: Settings,
    pictures: list[Finished],
    fault: Fault,
) -> None:
    with faulty_store(shared_settings) as (relay, through):
        relay.fault = fault
        with pytest.raises(Unavailable):
            scrubbing.scrub(staged, ObjectStore(through), Cursor("visualizations"), rows=10)
    assert subjects_of(staged) == {}
