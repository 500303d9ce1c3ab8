"""What becomes of a scan that another worker goes on with, whatever has happened meanwhile."""

import shutil
from collections.abc import Sequence

import pytest
from sqlalchemy import text

from services.exemplars import forgetting, scans
from services.queue import chores
from tests.small_scan import COUNT, Counting, Interrupting, ScanScene, picture
from worker.exemplars import scan_run
from worker.leasing.work_kinds import Tend, WorkKind


def interrupted(scanning: ScanScene, slices: Sequence[int]) -> str:
    """A scan that loses its worker after so many slices, again and again, each time to another one."""
    id = scanning.submit()
    for number, after in enumerate(slices):
        scanning.scanner(
            f"lost-{number}", before=(Interrupting(scanning, after),), scan_slice_seconds=1e-6
        ).look()
        assert scanning.get(id).state == "running"
    scanning.scanner("last", scan_slice_seconds=1e-6).look()
    return id


def test_an_interrupted_scan_ends_as_one_in_one_go(
    scanning: ScanScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_run, "SAVING_SHARE", 0)  # every slice, however busy the machine
    whole = scanning.submit()
    assert scanning.scanner().look()
    parted = interrupted(scanning, [2, 1, 1, 5, 40])
    assert scanning.get(parted).state == "succeeded"
    assert scanning.everything(parted) == scanning.everything(whole)
    assert (scanning.get(parted).pictures, scanning.get(parted).left_out) == (COUNT, 1)
    assert scanning.waiting() == 0
    assert scanning.scene.store.keys(f"scans/{whole}/") == []


@pytest.mark.parametrize("again", [False, True])
def test_a_scan_whose_state_is_lost_begins_anew(
    scanning: ScanScene, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    monkeypatch.setattr(scan_run, "SAVING_SHARE", 0)
    whole = scanning.submit()
    assert scanning.scanner().look()
    id = scanning.submit()
    scanning.scanner(before=(Interrupting(scanning, 9),), scan_slice_seconds=1e-6).look()
    assert scanning.scene.count("SELECT count(*) FROM crop_packs WHERE scan_no = 2") > 0
    for key in scanning.scene.store.keys(f"scans/{id}/"):
        scanning.scene.store.delete(key)
    monkeypatch.setattr(forgetting, "AT_ONCE", 100)
    if again:  # a worker that began anew was lost as well, before it had forgotten all
        with scanning.scene.database.session() as session:
            session.execute(
                text("UPDATE scans SET checkpoint_object = NULL, progress = '{}' WHERE id = :id"), {"id": id}
            )
    assert scanning.scanner("another").look()
    assert scanning.everything(id) == scanning.everything(whole)


def test_a_worker_that_lost_its_scan_changes_nothing(scanning: ScanScene) -> None:
    id = scanning.submit()
    scanning.scanner(before=(Interrupting(scanning, 1),), scan_slice_seconds=1e-6).look()
    before = scanning.get(id)
    assert before.state == "running"
    with scanning.scene.database.session() as session:
        assert chores.claim(session, "scan", "another", lease_seconds=60) is not None
    assert scanning.scene.count("SELECT count(*) FROM exemplars") == 0


def saved_after(scanning: ScanScene, slices: int) -> str:
    """A scan whose worker was lost after so many slices, and that has been saved."""
    id = scanning.submit()
    scanning.scanner(before=(Interrupting(scanning, slices),), scan_slice_seconds=1e-6).look()
    assert scanning.get(id).state == "running"
    assert scanning.scene.store.keys(f"scans/{id}/")
    return id


CROPPING = 6
"""Slices after which all pictures were looked at, and some of the crops are cut out."""


@pytest.mark.usefixtures("saving")
@pytest.mark.parametrize(
    ("change", "slices"), [("added", 2), ("removed", 1), ("replaced", 2), ("added", CROPPING)]
)
def test_a_scan_that_goes_on_with_another_worker_notices_that_pictures_were_changed(
    scanning: ScanScene, change: str, slices: int
) -> None:
    id = saved_after(scanning, slices)
    first = scanning.root / "folder" / "deeper" / "00.png"
    if change == "added":
        (first.parent / "000.png").write_bytes(picture(99))
    elif change == "removed":
        first.unlink()
    else:
        first.write_bytes(picture(99))
    assert scanning.scanner("another").look()
    view = scanning.get(id)
    assert (view.state, (view.error or {})["code"]) == ("failed", "sources_changed")


@pytest.mark.usefixtures("saving")
def test_a_scan_that_goes_on_notices_that_most_pictures_are_gone(scanning: ScanScene) -> None:
    id = saved_after(scanning, 3)
    shutil.rmtree(scanning.root / "folder" / "deeper")
    assert scanning.scanner("another").look()
    assert (scanning.get(id).error or {})["code"] == "sources_changed"


@pytest.mark.usefixtures("saving")
@pytest.mark.parametrize("slices", [2, pytest.param(CROPPING, marks=pytest.mark.thorough)])
def test_a_scan_that_an_earlier_release_has_saved_goes_on(scanning: ScanScene, slices: int) -> None:
    whole = scanning.submit()
    assert scanning.scanner().look()
    id = saved_after(scanning, slices)
    with scanning.scene.database.session() as session:
        session.execute(
            text("UPDATE scans SET progress = progress - 'passed' #- '{cropped,fingerprint}' WHERE id = :id"),
            {"id": id},
        )
    assert scanning.scanner("another").look()
    assert scanning.get(id).state == "succeeded"
    assert scanning.everything(id) == scanning.everything(whole)


@pytest.mark.usefixtures("saving")
def test_other_work_has_its_turn_while_a_scan_passes_over_what_it_has_seen(
    scanning: ScanScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_run, "GIVING_WAY", 1)
    id, read = saved_after(scanning, 3), scanning.scene.count("SELECT progress -> 'read' FROM scans")
    turns = []

    class Watching(WorkKind):
        def look(self, tend: Tend = lambda: None) -> bool:
            turns.append(scanning.scene.count("SELECT progress -> 'read' FROM scans"))
            return False

    assert scanning.scanner("another", before=(Watching(),), scan_slice_seconds=1e-6).look()
    assert scanning.get(id).state == "succeeded"
    assert turns.count(read) >= read


@pytest.mark.usefixtures("saving")
def test_a_scan_is_canceled_while_it_passes_over_what_it_has_seen(
    scanning: ScanScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_run, "GIVING_WAY", 1)
    id, looks = saved_after(scanning, 3), Counting()

    class Canceling(WorkKind):
        def look(self, tend: Tend = lambda: None) -> bool:
            looks.look()
            with scanning.scene.database.session() as session:
                scans.cancel(session, id)
            return False

    scanning.scanner("another", before=(Canceling(),), scan_slice_seconds=1e-6).look()
    assert (scanning.get(id).state, looks.looks) == ("canceled", 1)


@pytest.mark.usefixtures("saving")
def test_pictures_that_cannot_be_had_behind_the_last_one_are_counted_once(scanning: ScanScene) -> None:
    for n in range(3):
        (scanning.root / "folder" / f"zz-{n}.heic").write_bytes(b"of a format that is not read")
    whole = scanning.submit(sources=["folder"], layers="classifier")
    assert scanning.scanner().look()
    for slices in (1, 2):
        id = scanning.submit(sources=["folder"], layers="classifier")
        scanning.scanner(before=(Interrupting(scanning, slices),), scan_slice_seconds=1e-6).look()
        assert scanning.get(id).state == "running"
        assert scanning.scanner("another").look()
        assert scanning.get(id).state == "succeeded"
        assert scanning.get(id).left_out == scanning.get(whole).left_out == 4
