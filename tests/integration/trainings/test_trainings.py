"""What a worker may do with a training: only what its lease still allows, and each thing once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.base.errors import Conflict, Invalid, NotFound
from services.catalog.generators import get_generator, list_generators, register_generator
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.queue import chores, workers
from services.queue.chores import ChoreName
from services.queue.crash_rule import CRASHES_ALONE
from services.queue.kinds import pulse
from services.queue.reconciliation import reconcile
from services.trainings import leases as training_leases
from services.trainings import setbacks, trainings
from services.trainings.leases import TRAININGS, SameWeights, Sample
from services.trainings.precedence import PUT_OFF_SECONDS, work_goes_before
from services.trainings.tables import TrainingSampleRow
from services.trainings.trainings import TrainingView
from tests.integration import staging
from tests.integration.query_plans import plans
from tests.integration.trainings.one_training import ENDS, INFO, claim, claimed, get, submit
from tests.small_training import register_encoder


@pytest.fixture
def world(database: Database) -> Database:
    register_encoder(database)
    return database


def reclaim(world: Database) -> int:
    with world.session() as session:
        return reconcile(session, TRAININGS).expired_leases


def test_a_training_is_claimed_once_and_in_its_turn(world: Database) -> None:
    ids = [submit(world, f"birds-{n}") for n in range(3)]
    with ThreadPoolExecutor(4) as pool:
        found = [c.id for c in pool.map(lambda _: claim(world), range(4)) if c]
    assert sorted(found) == ids
    assert claim(world) is None


def test_of_parallel_submissions_of_one_name_one_is_accepted(world: Database) -> None:
    def attempt(_: int) -> bool:
        try:
            submit(world)
        except Invalid:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_a_list_reads_the_latest_samples_of_all_its_trainings_at_once(world: Database) -> None:
    ids = [submit(world, f"birds-{n}") for n in range(3)]
    with world.session() as session:
        for at, id in enumerate(ids):
            for pictures in range(30 * at):
                session.add(TrainingSampleRow(training_id=id, pictures=pictures, held_out={"code": at}))
    read: list[list[TrainingView]] = []
    statements = plans(world, lambda session: read.append([*trainings.list(session).data]))
    assert len([statement for statement, _ in statements if "training_samples" in statement]) == 1
    shown = {view.id: [sample.pictures for sample in view.samples] for view in read[0]}
    assert shown == {ids[0]: [], ids[1]: [*range(29, 9, -1)], ids[2]: [*range(59, 39, -1)]}
    with world.session() as session:
        assert trainings.of_ids(session, [ids[1], "trn_none"]) == {ids[1]: trainings.get(session, ids[1])}


def test_a_worker_that_lost_its_lease_changes_nothing(world: Database) -> None:
    id = submit(world)
    late = claimed(world, seconds=-1)
    assert reclaim(world) == 1
    now = claimed(world)
    assert now.lease_id > late.lease_id
    with world.session() as session:
        assert not pulse(session, TRAININGS, late.lease_id, lease_seconds=60).alive
        assert not training_leases.report(session, id, late.lease_id, {"pictures": 7})
        assert training_leases.save(session, id, late.lease_id, "c", "l", {}) is None
        assert not training_leases.release(session, id, late.lease_id)
        assert not setbacks.crashed(session, id, late.lease_id, "tester", "x")
        assert not setbacks.put_off(session, id, late.lease_id, "tester", "x")
        assert not training_leases.fail(session, id, late.lease_id, "x", "x")
        assert not setbacks.refuse(session, id, late.lease_id, "tester", "x")
        args = {"info": INFO, "sha256": "d" * 64, "log": "l", "card": None, "progress": {}, "samples": ()}
        assert training_leases.finish(session, late, **args) is None  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            get_generator(session, "birds")
    assert (get(world, id).state, get(world, id).pictures) == ("running", 0)


def test_it_goes_on_from_what_was_saved_last(world: Database) -> None:
    id = submit(world)
    first = claimed(world)
    with world.session() as session:
        assert training_leases.save(session, id, first.lease_id, "c1", "l1", {"pictures": 10}) == ()
        assert training_leases.save(session, id, first.lease_id, "c2", "l1", {"pictures": 20}) == ("c1",)
        assert training_leases.release(session, id, first.lease_id)
    second = claimed(world)
    assert (second.checkpoint_object, second.log_object, second.pictures) == ("c2", "l1", 20)


def test_a_sample_that_is_made_again_replaces_the_first_but_keeps_its_grid(world: Database) -> None:
    id = submit(world)
    lease_id, now = claimed(world).lease_id, datetime.now(UTC)
    again = [Sample(10, {"pixels": 0.5}, "grid", now), Sample(10, {"pixels": 0.25}, "grid", now)]
    for samples in (again, [Sample(10, {"pixels": 0.125}, None, now)]):
        with world.session() as session:
            assert training_leases.report(session, id, lease_id, {}, samples)
    [sample] = get(world, id).samples
    assert (sample.held_out, sample.image_object) == ({"pixels": 0.125}, "grid")


def test_workers_may_die_as_long_as_checkpoints_come(world: Database) -> None:
    id = submit(world)
    for _ in range(2 * CRASHES_ALONE):
        current = claimed(world, seconds=-1)
        with world.session() as session:
            training_leases.save(session, id, current.lease_id, "c", "l", {})
        assert reclaim(world) == 1
        assert get(world, id).state == "queued"
    for _ in range(CRASHES_ALONE - 1):  # and one death since the last checkpoint
        claimed(world, seconds=-1)
        reclaim(world)
    view = get(world, id)
    assert view.state == "failed"
    assert view.error is not None
    assert view.error["code"] == "poisoned"


def test_what_is_canceled_ends_however_its_worker_ends(world: Database) -> None:
    released, failed, dead = (submit(world, name) for name in ("a", "b", "c"))
    claims = [claimed(world), claimed(world), claimed(world, seconds=-1)]
    with world.session() as session:
        for id in (released, failed, dead):
            trainings.cancel(session, id)
        heard = pulse(session, TRAININGS, claims[0].lease_id, lease_seconds=60)
        assert heard.canceled == {released}
        training_leases.release(session, released, claims[0].lease_id)
        training_leases.fail(session, failed, claims[1].lease_id, "x", "x")
        reconcile(session, TRAININGS)
    assert {get(world, id).state for id in (released, failed, dead)} == {"canceled"}


def test_a_finished_training_registers_its_generator_once(world: Database) -> None:
    id = submit(world)
    current = claimed(world)
    args = {"info": INFO, "sha256": "d" * 64, "log": "l", "card": "m", "progress": {}, "samples": ()}
    with world.session() as session:
        assert training_leases.finish(session, current, **args) == "birds"  # type: ignore[arg-type]
    with world.session() as session:
        assert training_leases.finish(session, current, **args) is None  # type: ignore[arg-type]
        assert len(list_generators(session).data) == 1
        with pytest.raises(Conflict):
            trainings.cancel(session, id)
    assert get(world, id).generator_id == "birds"


def test_a_name_lost_to_another_registration_does_not_lose_the_result(world: Database) -> None:
    submit(world)
    current = claimed(world)
    with world.session() as session:
        register_generator(session, "birds", INFO, "a" * 64)
    args = {"info": INFO, "sha256": "d" * 64, "log": "l", "card": None, "progress": {}, "samples": ()}
    with world.session() as session:
        assert training_leases.finish(session, current, **args) == "birds-dddddddd"  # type: ignore[arg-type]


def test_a_training_canceled_before_it_could_be_registered_leaves_no_generator(world: Database) -> None:
    id = submit(world)
    current = claimed(world)
    with world.session() as session:
        trainings.cancel(session, id)
    with world.session() as session:
        assert training_leases.finish(session, current, info=INFO, sha256="d" * 64, **ENDS) is None
        assert not list_generators(session).data
    assert get(world, id).state == "canceled"


def test_a_training_that_comes_to_the_weights_of_another_generator_names_that_one(world: Database) -> None:
    for name in ("birds", "again"):
        submit(world, name)
    first, second = claimed(world), claimed(world)
    with world.session() as session:
        assert training_leases.finish(session, first, info=INFO, sha256="d" * 64, **ENDS) == "birds"
    with (
        world.session() as session,
        pytest.raises(SameWeights, match="the very weights of the generator 'birds'"),
    ):
        training_leases.finish(session, second, info=INFO, sha256="d" * 64, **ENDS)


def test_other_work_goes_first(world: Database) -> None:
    with world.session() as session:
        assert not work_goes_before(session, "w1")
        register_network(session, RegisterNetwork(id="resnet18.a1_in1k"))
        assert work_goes_before(session, "w1")


@pytest.mark.parametrize("kind", ["repair", "scan", "look", "map"])
def test_a_training_makes_way_for_a_chore_that_its_worker_would_do_and_not_each_time_that_it_was_put_off(
    world: Database, kind: ChoreName
) -> None:
    def goes_before() -> bool:
        with world.session() as session:
            return work_goes_before(session, "w1")

    def change(what: str) -> None:
        with world.session() as session:
            session.execute(text(f"UPDATE work SET {what}"))

    with world.session() as session:
        workers.register(session, "w1", host="here", device="cpu", draws_maps=True)
        chores.plan(session, kind, "something", after_seconds=60)
    assert not goes_before()
    change("not_before = now()")
    assert goes_before()
    change("""payload = '{"put_off": true}'""")
    assert not goes_before()
    change(f"not_before = now() - make_interval(secs => {PUT_OFF_SECONDS})")
    assert goes_before()
    change("""payload = '{"put_off": false, "refused_by": ["w2"]}'""")
    assert goes_before()
    change("""payload = '{"refused_by": ["w1", "w2"]}'""")
    assert not goes_before()
    change("""payload = '{"put_off": true, "refused_by": ["w1", "w2"]}'""")
    assert goes_before(), "nobody else would"
    change("payload = '{}', given_up = true, error = '{}'")
    assert goes_before() == (kind == "scan"), "whoever claims a scan that was given up says so"
    change("given_up = false")
    with world.session() as session:
        workers.register(session, "w1", host="here", device="cpu", draws_maps=False)
    assert goes_before() is (kind != "map")


def test_a_training_makes_way_for_a_photograph_unless_its_worker_lacks_the_network(world: Database) -> None:
    ask = text("""
        INSERT INTO excitations (id, network_id, layer, photograph, expires_at)
        SELECT 'exc_1', network_id, name, 'bytes', now() FROM layers LIMIT 1 RETURNING network_id
    """)
    with world.session() as session:
        network = session.execute(ask).scalar_one()
        assert work_goes_before(session, "w1")
        assert not work_goes_before(session, "w1", lacks=[f"network:{network}"])


def test_a_training_does_not_make_way_for_pictures_that_its_worker_leaves_to_others(staged: Database) -> None:
    staging.submit(staged, staging.request("0-2"))
    with staged.session() as session:
        needed = text("SELECT DISTINCT network_id, generator_id, batch_key FROM visualizations")
        needs = session.execute(needed).one()
        assert work_goes_before(session, "w1")
        for lacks in zip(("network", "generator", "batch"), needs, strict=True):
            assert not work_goes_before(session, "w1", lacks=[":".join(lacks)])
        assert work_goes_before(session, "w1", lacks=["network:another"])
