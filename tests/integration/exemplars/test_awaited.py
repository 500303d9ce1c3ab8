"""A scan whose pictures, or whose worker's disk or memory, are not to be had at the moment."""

import errno
from pathlib import Path

import pytest

from services.exemplars import scans, working
from services.queue import chores
from services.queue.refusals import PATIENCE_SECONDS
from tests import small_world
from tests.small_scan import ScanScene
from worker.exemplars import scan_run
from worker.leasing.lease_renewal import Interrupted
from worker.leasing.work_kinds import Tend, WorkKind


def assert_waits(scanning: ScanScene, id: str, code: str, message: str) -> None:
    """It goes on later, and says why not now; no worker is said to be at it."""
    view = scanning.get(id)
    assert (view.state, (view.error or {}).get("code")) == ("running", code)
    assert message in (view.error or {})["message"]
    assert str(scanning.root) not in (view.error or {})["message"]
    assert (view.phase, view.rate, view.eta_seconds) == (None, None, None)


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
    message = "folder/deeper/19.png cannot be read: Stale file handle"
    assert_waits(scanning, id, "source_refused", message)
    dropped = False
    scanning.hasten()
    assert scanning.scanner().look()
    view = scanning.get(id)
    assert (view.state, view.error, view.pictures, view.left_out) == ("succeeded", None, 20, 1)


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
    assert_waits(scanning, id, "source_refused", "folder")
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
            assert_waits(
                scanning, id, "internal", "No space left" if isinstance(error, OSError) else "no room"
            )
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
    assert_waits(scanning, id, "source_refused", "folder")
    scanning.hasten()
    assert second.look()
    assert_waits(scanning, id, "source_refused", "The other workers lack it too.")
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
        assert_waits(scanning, id, "source_refused", "folder")
    scanning.root.rmdir()
    away.rename(scanning.root)
    scanning.hasten()
    assert scanning.scanner().look()
    assert scanning.get(id).state == "succeeded"


def test_weights_that_are_out_of_reach_are_awaited_and_named(scanning: ScanScene) -> None:
    id = scanning.submit(sources=["folder"], layers="classifier")
    weights = scanning.scene.folder / small_world.NETWORK_FILE
    away = weights.rename(weights.with_suffix(".away"))
    assert scanning.scanner().look()
    assert_waits(scanning, id, "network_unloadable", weights.name)
    away.rename(weights)
    scanning.hasten()
    assert scanning.scanner().look()
    assert (scanning.get(id).state, scanning.get(id).error) == ("succeeded", None)


def test_a_defect_that_may_pass_is_named_until_the_scan_goes_on(
    scanning: ScanScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> bool:
        raise RuntimeError("a\0 defect")

    id = scanning.submit(sources=["packed.npz"], layers="classifier")
    with monkeypatch.context() as patched:
        patched.setattr(scan_run.ScanRun, "slice", failing)
        assert scanning.scanner().look()
    assert_waits(scanning, id, "internal", "RuntimeError: a\\x00 defect")
    seen: list[object] = []

    class Watching(WorkKind):
        def look(self, tend: Tend = lambda: None) -> bool:
            seen.append(scanning.get(id).error)
            return False

    scanning.hasten()
    assert scanning.scanner(before=(Watching(),), scan_slice_seconds=1e-6).look()
    assert seen
    assert set(seen) == {None}


def test_a_canceled_scan_waits_for_nothing(scanning: ScanScene) -> None:
    id = scanning.submit(sources=["folder"], layers="classifier")
    with scanning.scene.database.session() as session:
        claim = chores.claim(session, "scan", "tester", lease_seconds=60.0)
        assert claim is not None
        assert working.begin(session, claim)
    with scanning.scene.database.session() as session:
        working.put_off(session, claim, 0.0, "network_unloadable", "elsewhere")
    assert_waits(scanning, id, "network_unloadable", "elsewhere")
    with scanning.scene.database.session() as session:
        claim = chores.claim(session, "scan", "tester", lease_seconds=60.0)
        assert claim is not None
        scans.cancel(session, id)
    with scanning.scene.database.session() as session:
        working.put_off(session, claim, 0.0, "network_unloadable", "elsewhere")
        working.leave(session, claim, "tester", "The disk is full.")
        working.crashed(session, id, claim.lease_id, "internal", "a defect")
    assert (scanning.get(id).state, scanning.get(id).error) == ("canceled", None)
