"""A scene whose workers see pictures."""

import pytest

from tests.small_scan import ScanScene
from tests.worker_processes import Scene
from worker.exemplars import scan_run


@pytest.fixture
def scanning(scene: Scene) -> ScanScene:
    return ScanScene.build(scene)


@pytest.fixture
def saving(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state is saved after every slice, however busy the machine."""
    monkeypatch.setattr(scan_run, "SAVING_SHARE", 0)
