"""Who works and how much waits."""

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.base.states import Lane
from services.estimates import forecast
from services.queue import workers
from services.queue.workers import TrainingsDepth
from services.trainings import leases as training_leases
from services.trainings import trainings
from services.trainings.request import TrainingRequest
from tests.integration import staging
from tests.integration.staging import claim, finish, request, submit
from tests.small_training import register_encoder


def _list(staged: Database) -> dict[str, str]:
    with staged.session() as session:
        return {worker.id: worker.state for worker in workers.list(session)}


def test_a_worker_is_idle_working_lost_or_stopped(staged: Database) -> None:
    with staged.session() as session:
        for id in ("a", "b", "c", "d"):
            workers.register(session, id, host="here", device="cpu")
        workers.stopped(session, "d")
    submit(staged, request("0-1"))
    claimed = claim(staged, worker="b")
    with staged.session() as session:
        session.execute(text("UPDATE workers SET seen_at = now() - interval '31 seconds' WHERE id = 'c'"))
    assert _list(staged) == {"a": "idle", "b": "working", "c": "lost", "d": "stopped"}
    finish(staged, claimed)
    with staged.session() as session:
        workers.seen(session, "c")
        workers.register(session, "d", host="here", device="cuda")
    assert _list(staged) == dict.fromkeys("abcd", "idle")


@pytest.mark.parametrize(
    ("heartbeat", "seen", "alive"),
    [
        (10, "28 seconds", True),  # two beats are missed
        (10, "32 seconds", False),
        (60, "170 seconds", True),  # whoever beats more slowly is given longer
        (60, "190 seconds", False),
        (0.5, "20 seconds", True),  # a busy machine may be slow to send any
        (None, "55 seconds", True),  # as an earlier release has it
        (None, "65 seconds", False),
    ],
)
def test_a_worker_is_lost_after_three_of_its_heartbeats(
    staged: Database, heartbeat: float | None, seen: str, alive: bool
) -> None:
    with staged.session() as session:
        workers.register(session, "a", host="here", device="cpu", has_data_root=True)
        said = "DEFAULT" if heartbeat is None else str(heartbeat)
        session.execute(
            text(f"UPDATE workers SET heartbeat_seconds = {said}, seen_at = now() - interval '{seen}'")
        )
    assert _list(staged) == {"a": "idle" if alive else "lost"}
    with staged.session() as session:
        summary = workers.queue(session)
        assert (summary.workers, summary.trainings.workers) == (alive, alive)
        assert forecast.read(session).workers == ({"cpu": 1} if alive else {})


def test_a_worker_that_takes_nothing_for_a_reason_waits_and_says_why(staged: Database) -> None:
    with staged.session() as session:
        workers.register(session, "a", host="here", device="cpu")
        workers.seen(session, "a", reason="The object store does not answer: \0.")
    assert _list(staged) == {"a": "waiting"}
    with staged.session() as session:
        [known] = workers.queue(session).known
    assert known.reason == "The object store does not answer: \\x00."
    submit(staged, request("0-1"))
    claim(staged, worker="a")
    assert _list(staged) == {"a": "working"}
    with staged.session() as session:
        workers.seen(session, "a")
        assert workers.queue(session).known[0].reason is None
        workers.stopped(session, "a")
        assert workers.queue(session).known == ()


def test_the_summary_counts_trainings_and_the_workers_that_would_take_them(staged: Database) -> None:
    register_encoder(staged)
    with staged.session() as session:
        for id, has_data_root in (("a", True), ("b", False), ("c", False), ("d", True)):
            workers.register(session, id, host="here", device="cpu", has_data_root=has_data_root)
        workers.seen(session, "c", has_data_root=True)  # mounted since it started
        workers.stopped(session, "d")
        asked = {"sources": ["birds"], "pictures": 100}
        for name in ("one", "two", "three"):
            trainings.submit(session, name, TrainingRequest.model_validate(asked))
    with staged.session() as session:
        claimed = training_leases.claim(session, "a", lease_seconds=60)
        assert claimed is not None
        trainings.cancel(session, claimed.id)  # its worker has not noticed yet
    with staged.session() as session:
        assert workers.queue(session).trainings == TrainingsDepth(queued=2, running=1, workers=2)
        assert training_leases.release(session, claimed.id, claimed.lease_id)
        assert workers.queue(session).trainings == TrainingsDepth(queued=2, running=0, workers=2)


def test_the_summary_counts_what_waits_and_tells_when_it_will_be_done(staged: Database) -> None:
    with staged.session() as session:
        assert [(lane.queued, lane.leased) for lane in workers.queue(session).lanes] == [(0, 0), (0, 0)]
        workers.register(session, "worker-1", host="here", device="cpu")
    submit(staged, request("0-9"))
    submit(staged, request("10-14", lane=Lane.BULK))
    finish(staged, claim(staged, limit=6))
    claim(staged, limit=1)
    with staged.session() as session:
        summary = workers.queue(session)
    assert [(lane.lane, lane.queued, lane.leased) for lane in summary.lanes] == [
        (Lane.INTERACTIVE, 3, 1),
        (Lane.BULK, 5, 0),
    ]
    assert summary.workers == 1
    assert summary.rate == 6 / 60  # six in the last minute
    assert summary.eta is None  # nobody has told yet what such work costs
    staging.assert_consistent(staged)


def test_the_depth_of_a_long_lane_is_what_its_jobs_have_left(
    staged: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody counts a million items to say how many there are."""
    monkeypatch.setattr(workers, "COUNTED_AT_MOST", 4)
    submit(staged, request("0-3"))
    submit(staged, request("10-19", lane=Lane.BULK))
    submit(staged, request("15-24", lane=Lane.BULK))  # half of it is wanted already
    bulk = claim(staged, limit=2, lanes=(Lane.BULK,))
    with staged.session() as session:
        depths = [(lane.lane, lane.queued, lane.leased) for lane in workers.queue(session).lanes]
    assert len(bulk.items) == 2
    assert depths == [(Lane.INTERACTIVE, 4, 0), (Lane.BULK, 18, 2)]  # of 13 that wait, 5 count twice
