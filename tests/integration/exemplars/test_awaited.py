"""A scan whose pictures, or whose worker's disk or memory, are not to be had at the moment."""

import errno
from pathlib import Path

import pytest

from services.queue.refusals import PATIENCE_SECONDS
from tests.small_scan import ScanScene
from worker.exemplars import scan_run
from worker.leasing.lease_renewal import Interrupted
from worker.leasing.work_kinds import Tend, WorkKind


@pytest.mark.parametrize("begun", [False, True])
def test_a_share_that_drops_while_it_is_scanned_is_awaited(
    scanning: ScanScene, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    dropped = not begun
    stale = OSError(errno.ESTALE, "Stale file handle")
    read = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if dropped and path.name == "19.png":
            raise stale
        return read(path)

    class Dropping(WorkKind):
        def look(self, tend: Tend = lambda: None) -> bool:
            nonlocal dropped
            dropped = True
            return False

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    id = scanning.submit(sources=["folder"], layers="classifier")
    assert scanning.scanner(before=(Dropping(),), scan_slice_seconds=1e-6).look()
    assert (scanning.get(id).state, scanning.get(id).error) == ("running", None)
    dropped = False
    scanning.hasten()
    assert scanning.scanner().look()
    view = scanning.get(id)
    assert (view.state, view.pictures, view.left_out) == ("succeeded", 20, 1)


def test_a_share_that_is_unmounted_while_it_is_scanned_is_awaited(scanning: ScanScene) -> None:
    share, away = scanning.root / "folder", scanning.root / "away"

    class Unmounting(WorkKind):
        def look(self, tend: Tend = lambda: None) -> bool:
            if not away.exists():
                share.rename(away)
                share.mkdir()
            return False

    id = scanning.submit(sources=["folder"], layers="classifier")
    assert scanning.scanner(before=(Unmounting(),), scan_slice_seconds=1e-6).look()
    assert away.exists()
    assert (scanning.get(id).state, scanning.get(id).error) == ("running", None)
    share.rmdir()
    away.rename(share)
    scanning.hasten()
    assert scanning.scanner().look()
    assert scanning.get(id).state == "succeeded"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device", "/here"), MemoryError("no room")]
)
def test_what_lies_at_one_machine_charges_no_scan(
    scanning: ScanScene, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(*_: object) -> bool:
        raise error

    id = scanning.submit(sources=["packed.npz"], layers="classifier")
    with monkeypatch.context() as patched:
        patched.setattr(scan_run.ScanRun, "slice", failing)
        for _ in range(4):
            assert scanning.scanner().look()
            scanning.hasten()
    assert scanning.scene.count("SELECT crash_count + attempt FROM work WHERE kind = 'scan'") == 0
    assert scanning.scanner().look()
    assert scanning.get(id).state == "succeeded"


def test_a_worker_without_the_pictures_leaves_the_scan_to_the_next_and_the_last_says_why(
    scanning: ScanScene,
) -> None:
    other = scanning.scene.folder / "elsewhere"
    other.mkdir()
    id = scanning.submit()
    second = scanning.scanner("second", data_root=other)
    assert scanning.scanner("first", data_root=other).look()
    assert scanning.get(id).state == "running"
    scanning.hasten()
    assert second.look()
    assert scanning.get(id).state == "running", "the pictures may be there in a moment"
    assert not second.look(), "it rests"
    scanning.hasten(refused_seconds=PATIENCE_SECONDS)
    assert second.look()
    view = scanning.get(id)
    assert (view.state, (view.error or {})["code"]) == ("failed", "source_refused")
    assert scanning.waiting() == 0


def test_a_scan_that_was_begun_waits_for_days_for_its_pictures_and_goes_on_with_them(
    scanning: ScanScene,
) -> None:
    class Leaving(WorkKind):
        def look(self, tend: Tend = lambda: None) -> bool:
            raise Interrupted

    id = scanning.submit()
    scanning.scanner(before=(Leaving(),), scan_slice_seconds=1e-6).look()
    away = scanning.root.rename(scanning.root.with_name("away"))
    scanning.root.mkdir()
    for _ in range(2):
        scanning.hasten(refused_seconds=86_400)
        assert scanning.scanner().look()
        assert scanning.get(id).state == "running"
    scanning.root.rmdir()
    away.rename(scanning.root)
    scanning.hasten()
    assert scanning.scanner().look()
    assert scanning.get(id).state == "succeeded"
