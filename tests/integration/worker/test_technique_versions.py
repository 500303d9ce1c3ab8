"""Items whose technique has another version than this worker's: pictures are named by the version, so none is
made."""

import pytest
from sqlalchemy import text

from services.queue import batches, workers
from tests.integration.worker.batch_runner import patient, run_everything, runner
from tests.worker_processes import Scene


@pytest.fixture
def scene(scene: Scene) -> Scene:
    return patient(scene)


def queued_by(scene: Scene, version: str, units: str = "0-1") -> str:
    """A job that a release submitted whose techniques had this version."""
    job_id = scene.submit(units)
    with scene.database.session() as session:
        session.execute(text("UPDATE visualizations SET engine = :version"), {"version": version})
    return job_id


def rows(scene: Scene) -> list[tuple[str, str | None, str | None]]:
    query = "SELECT state, error->>'code', error->>'message' FROM visualizations ORDER BY unit"
    with scene.database.session() as session:
        return [(state, code, message) for state, code, message in session.execute(text(query))]


def test_what_an_earlier_version_was_to_make_fails_and_says_to_submit_again(scene: Scene) -> None:
    job_id = queued_by(scene, "2")
    run_everything(runner(scene))
    assert scene.job(job_id).state == "failed"
    for state, code, message in rows(scene):
        assert (state, code) == ("failed", "technique_changed")
        assert message is not None
        assert "version 2 of dgn-am" in message
        assert "Submit the unit again" in message
    assert scene.count("SELECT count(*) FROM artifacts") == 0


def test_what_a_later_version_is_to_make_is_left_to_others_and_tried_again_where_there_are_none(
    scene: Scene,
) -> None:
    queued_by(scene, "1000")
    with scene.database.session() as session:
        workers.register(session, "test-worker", host="here", device="cpu")
        workers.register(session, "upgraded", host="there", device="cpu")
    old = runner(scene)
    assert old.run_batch()
    assert rows(scene) == [("queued", None, None)] * 2
    assert not old.run_batch(), "it is left to the other"
    with scene.database.session() as session:
        claimed = batches.claim(session, "upgraded", limit=8, lease_seconds=60)
        assert claimed is not None
        assert claimed.version == "1000"
        batches.release(session, claimed.lease_id)
        session.execute(text("DELETE FROM workers WHERE id = 'upgraded'"))
    alone = runner(scene)
    run_everything(alone)
    for state, _, message in rows(scene):
        assert state == "queued"
        assert message is not None
        assert "version 1000 of dgn-am" in message
        assert "Upgrade it" in message
