"""What becomes of a training that a worker cannot go on with: others try it, it is tried again, it fails."""

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.queue import refusals, workers
from services.queue.refusals import (
    BEGUN_PATIENCE_SECONDS,
    LATELY_SECONDS,
    PASSING_PATIENCE_SECONDS,
    PATIENCE_SECONDS,
)
from services.trainings import leases as training_leases
from services.trainings import setbacks, trainings
from services.trainings.leases import LEFT_SECONDS
from services.trainings.setbacks import MAX_CRASHES, MAX_SETBACKS
from tests.integration.trainings.one_training import claim, claimed, get, pass_time, register_workers, submit
from tests.small_training import register_encoder

_REST = text("""
    SELECT extract(epoch FROM not_before - (SELECT max(ended_at) FROM leases)) FROM trainings
""")


@pytest.fixture
def world(database: Database) -> Database:
    register_encoder(database)
    return database


def refuse(world: Database, worker: str) -> None:
    """Claim the training, and find that its pictures are not there."""
    current = claimed(world, worker=worker)
    message = f"'birds' is not here, says {worker}."
    with world.session() as session:
        assert setbacks.refuse(session, current.id, current.lease_id, worker, message)


def put_off(world: Database, worker: str) -> None:
    """Claim the training, and find that the disk is full."""
    current = claimed(world, worker=worker)
    with world.session() as session:
        assert setbacks.put_off(session, current.id, current.lease_id, worker, "The disk is full.")


def save(world: Database, worker: str, pictures: int = 8) -> None:
    """Claim the training, come to a checkpoint and give it back."""
    current = claimed(world, worker=worker)
    key = f"trainings/{current.id}/{current.lease_id}/other bytes on each machine"
    progress = {"pictures": 9, "saved": pictures}
    with world.session() as session:
        training_leases.save(session, current.id, current.lease_id, f"{key}-{worker}", "l", progress)
        training_leases.release(session, current.id, current.lease_id)


def stop(world: Database, worker: str) -> None:
    with world.session() as session:
        workers.stopped(session, worker)


def stay(world: Database, *ids: str) -> None:
    """These workers are alive now."""
    with world.session() as session:
        for id in ids:
            workers.seen(session, id, has_data_root=True)


def test_what_one_worker_cannot_see_is_left_to_the_others_until_none_can(world: Database) -> None:
    id = submit(world)
    register_workers(world, a=True, b=True, c=False)
    pass_time(world, LATELY_SECONDS)
    stay(world, "a", "b")
    refuse(world, "a")
    assert get(world, id).state == "queued"
    assert claim(world, worker="a") is None
    refuse(world, "b")
    view = get(world, id)
    message = "'birds' is not here, says b. The other workers lack it too."
    assert (view.state, view.error) == ("queued", {"code": "source_refused", "message": message})
    assert claim(world, worker="a") is None, "it rests"
    pass_time(world, PATIENCE_SECONDS)
    stay(world, "a", "b")
    refuse(world, "b")
    view = get(world, id)
    assert (view.state, view.error) == ("failed", {"code": "source_refused", "message": message})


def test_a_worker_that_refused_does_not_keep_another_training_waiting(world: Database) -> None:
    refused, other = submit(world, "birds-1"), submit(world, "birds-2")
    register_workers(world, a=True, b=True)
    refuse(world, "a")
    assert claimed(world, worker="a").id == other
    assert claimed(world, worker="b").id == refused


def test_a_worker_that_refused_looks_again_where_the_others_are_busy_for_long(world: Database) -> None:
    id = submit(world)
    register_workers(world, a=True, b=True)
    refuse(world, "a")
    pass_time(world, LEFT_SECONDS)
    stay(world, "a", "b")
    assert claimed(world, worker="a").id == id


def test_while_the_worker_that_has_the_pictures_starts_again_a_training_waits(world: Database) -> None:
    id = submit(world)
    register_workers(world, a=True, b=True)
    refuse(world, "a")
    pass_time(world, 86_400)  # b had much else to do, and looked at this as little as a
    stay(world, "a", "b")
    stop(world, "b")
    for times in (3, 9, 27):  # it is tried again after as long as it has waited
        refuse(world, "a")
        assert get(world, id).state == "queued"
        pass_time(world, times * refusals.AGAIN_SECONDS)
        stay(world, "a")
    register_workers(world, b2=True)
    assert claim(world, worker="a") is None
    assert claimed(world, worker="b2").id == id


def test_the_last_worker_that_is_left_says_why_nobody_can_train(world: Database) -> None:
    id = submit(world)
    register_workers(world, a=True, b=True)
    refuse(world, "a")
    stop(world, "b")
    pass_time(world, LATELY_SECONDS)
    stay(world, "a")
    refuse(world, "a")
    assert get(world, id).state == "queued"
    pass_time(world, PATIENCE_SECONDS)
    stay(world, "a")
    refuse(world, "a")
    view = get(world, id)
    assert (view.state, view.error) == (
        "failed",
        {"code": "source_refused", "message": "'birds' is not here, says a."},
    )


def test_what_was_begun_is_not_lost_because_its_pictures_are_away_for_a_day(world: Database) -> None:
    id = submit(world)
    register_workers(world, a=True)
    save(world, "a")
    refuse(world, "a")
    for seconds, state in ((86_400, "queued"), (BEGUN_PATIENCE_SECONDS, "failed")):
        pass_time(world, seconds)
        stay(world, "a")
        refuse(world, "a")
        assert get(world, id).state == state


def test_a_fault_that_may_pass_is_left_to_others_and_then_tried_again_at_no_charge(world: Database) -> None:
    id = submit(world)
    register_workers(world, a=True, b=True)
    pass_time(world, LATELY_SECONDS)
    stay(world, "a", "b")
    put_off(world, "a")
    assert claim(world, worker="a") is None
    put_off(world, "b")
    assert claim(world, worker="b") is None, "it rests"
    for _ in range(2 * MAX_CRASHES):
        pass_time(world, PASSING_PATIENCE_SECONDS / 3 / MAX_CRASHES)
        stay(world, "a", "b")
        put_off(world, "a")
    view = get(world, id)
    assert (view.state, view.crashes) == ("queued", 0)
    assert view.error == {"code": "training_failed", "message": "The disk is full."}
    pass_time(world, PASSING_PATIENCE_SECONDS)
    stay(world, "a", "b")
    put_off(world, "a")
    assert get(world, id).state == "failed"


def test_a_training_with_a_checkpoint_outlives_a_fault_of_a_day_and_forgets_it_once_it_goes_on(
    world: Database,
) -> None:
    id = submit(world)
    register_workers(world, a=True)
    save(world, "a")

    def fail_again_and_again(seconds: float) -> None:
        for _ in range(2 * MAX_SETBACKS):
            put_off(world, "a")
            pass_time(world, seconds / 2 / MAX_SETBACKS)
            stay(world, "a")

    for pictures in (16, 24):
        fail_again_and_again(0.9 * BEGUN_PATIENCE_SECONDS)
        view = get(world, id)
        assert view.state == "queued"
        assert view.error is not None
        save(world, "a", pictures)
        assert get(world, id).error is None
    fail_again_and_again(0.9 * BEGUN_PATIENCE_SECONDS)
    stop(world, "a")
    register_workers(world, b=True)
    save(world, "b", 24)  # as it was: the end of it fails
    pass_time(world, 0.2 * BEGUN_PATIENCE_SECONDS)
    stay(world, "b")
    put_off(world, "b")
    assert get(world, id).state == "failed"


def test_workers_that_start_again_and_again_without_the_pictures_do_not_keep_a_training_for_ever(
    world: Database,
) -> None:
    id = submit(world)
    register_workers(world, a=True)
    for number in range(4):
        assert get(world, id).state == "queued"
        register_workers(world, **{f"starting-{number}": False})
        refuse(world, "a")
        pass_time(world, PATIENCE_SECONDS / 2)
        stay(world, "a")
    assert get(world, id).state == "queued", "one that is starting may see them"
    refuse(world, "a")
    assert get(world, id).state == "failed"


def test_two_faults_far_apart_end_no_training_that_prepares_its_pictures_for_hours(world: Database) -> None:
    id = submit(world)
    register_workers(world, a=True)
    for _ in range(MAX_SETBACKS):
        assert get(world, id).state == "queued"
        put_off(world, "a")
        pass_time(world, 2 * PASSING_PATIENCE_SECONDS)
        stay(world, "a")
    assert get(world, id).state == "failed"


def test_a_canceled_training_that_is_refused_or_put_off_ends_as_canceled(world: Database) -> None:
    register_workers(world, a=True, b=True)
    for setback in (setbacks.refuse, setbacks.put_off, setbacks.crashed):
        id = submit(world)
        current = claimed(world, worker="a")
        with world.session() as session:
            trainings.cancel(session, id)
            assert setback(session, id, current.lease_id, "a", "It is not here.")
        assert (get(world, id).state, get(world, id).error) == ("canceled", None)


def test_three_crashes_are_too_many_and_each_is_followed_by_a_longer_rest(world: Database) -> None:
    id = submit(world)
    for crash in range(1, MAX_CRASHES + 1):
        assert get(world, id).state == "queued"
        with world.session() as session:
            assert setbacks.crashed(session, id, claimed(world).lease_id, "tester", f"crash {crash}")
            due = session.execute(_REST).scalar_one()
        if crash < MAX_CRASHES:
            assert float(due) == pytest.approx(setbacks.CRASH_PAUSE_SECONDS * 4 ** (crash - 1), abs=5)
            assert claim(world) is None
            pass_time(world, float(due) + 5)
    view = get(world, id)
    assert (view.state, view.error) == ("failed", {"code": "crashed", "message": f"crash {MAX_CRASHES}"})
