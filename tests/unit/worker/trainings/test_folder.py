import os
from pathlib import Path

import pytest

from worker.trainings.folder import TrainingFolder, drop_training, kept_trainings


@pytest.fixture
def folder(tmp_path: Path) -> TrainingFolder:
    return TrainingFolder(tmp_path, "trn_1", 1)


def prepare(folder: TrainingFolder) -> None:
    (folder.path / "prepared").mkdir()
    (folder.path / "prepared" / "index.json").write_text("{}")


def test_prepared_data_move_on_to_the_next_lease_and_nothing_else_does(tmp_path: Path) -> None:
    first = TrainingFolder(tmp_path, "trn_1", 1)
    prepare(first)
    first.checkpoint.write_bytes(b"old")
    second = TrainingFolder(tmp_path, "trn_1", 2)
    assert second.prepared
    assert not second.checkpoint.exists()
    assert not first.path.exists()


def test_unfinished_preparation_is_not_taken_over(tmp_path: Path) -> None:
    first = TrainingFolder(tmp_path, "trn_1", 1)
    (first.path / "prepared").mkdir()
    assert not TrainingFolder(tmp_path, "trn_1", 2).prepared


def test_data_that_are_to_be_prepared_anew_are_kept_while_they_are_young(folder: TrainingFolder) -> None:
    prepare(folder)
    folder.forget_prepared(older_than_seconds=3600)
    assert folder.prepared
    os.utime(folder.path / "prepared" / "index.json", (0, 0))
    folder.forget_prepared(older_than_seconds=3600)
    assert not folder.prepared


def test_a_snapshot_stays_when_the_checkpoint_is_replaced(folder: TrainingFolder, tmp_path: Path) -> None:
    folder.checkpoint.write_bytes(b"first")
    kept = folder.snapshot()
    (tmp_path / "new").write_bytes(b"second")
    (tmp_path / "new").replace(folder.checkpoint)
    assert kept.read_bytes() == b"first"
    assert folder.snapshot().read_bytes() == b"second"


def test_the_stored_log_has_whole_lines_only(folder: TrainingFolder) -> None:
    assert folder.log_snapshot().read_bytes() == b""
    folder.log.write_text('{"pictures": 10}\n{"pictures"')
    assert folder.log_snapshot().read_text() == '{"pictures": 10}\n'


def test_what_is_kept_can_be_listed_and_dropped(tmp_path: Path) -> None:
    assert kept_trainings(tmp_path) == []
    for name in ("trn_1", "trn_2"):
        TrainingFolder(tmp_path, name, 1)
    drop_training(tmp_path, "trn_1")
    assert kept_trainings(tmp_path) == ["trn_2"]
