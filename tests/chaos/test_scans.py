"""Scans of real pictures with real workers, whatever happens to these meanwhile."""

import signal

import pytest
from sqlalchemy import text

from tests.small_scan import COUNT, ScanScene
from tests.worker_processes import Scene, until

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("point", ["mid_scan", pytest.param("crops_stored", marks=pytest.mark.thorough)])
def test_a_scan_whose_worker_is_killed_ends_with_nothing_missing_and_nothing_twice(
    scene: Scene, point: str
) -> None:
    scanning = ScanScene.build(scene)
    whole = scanning.submit(layers="blocks.0.0,classifier")
    assert scanning.scanner().look()
    id = scanning.submit(layers="blocks.0.0,classifier")
    crashing = scene.start_child(IMAGO_CRASH_AT=point, IMAGO_SCAN_SLICE_SECONDS="0.001")
    assert crashing.wait() == -signal.SIGKILL
    assert scanning.get(id).state == "running"
    scene.start_child(IMAGO_SCAN_SLICE_SECONDS="0.001")

    def ended() -> bool:
        with scene.database.session() as session:  # it need not wait as long as after a real death
            session.execute(text("UPDATE work SET not_before = now()"))
        return scanning.get(id).ended

    until(ended, "the scan has ended", seconds=180)
    view = scanning.get(id)
    assert (view.state, view.error, view.pictures) == ("succeeded", None, COUNT)
    assert scanning.everything(id) == scanning.everything(whole)
    assert scanning.waiting() == 0
