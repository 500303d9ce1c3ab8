import json
from pathlib import Path

import pytest

from worker.trainings.folder import TrainingFolder, drop_training, kept_trainings

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" + b"IEND\xaeB`\x82"


@pytest.fixture
def folder(tmp_path: Path) -> TrainingFolder:
    folder = TrainingFolder(tmp_path, "trn_1", 1)
    (folder.path / "grids").mkdir()
    return folder


def note(folder: TrainingFolder, *entries: dict[str, object], torn: str = "") -> None:
    lines = "".join(json.dumps({"time": 1_800_000_000.5, **entry}) + "\n" for entry in entries)
    folder.log.write_text(lines + torn)


def prepare(folder: TrainingFolder) -> None:
    (folder.path / "prepared").mkdir()
    (folder.path / "prepared" / "index.json").write_text("{}")


def test_progress_is_what_the_log_said_last(folder: TrainingFolder) -> None:
    assert folder.progress() == {}
    note(
        folder,
        {"pictures": 10, "rate": 2.5, "layout": 0.5, "code": float("nan")},
        {"pictures": 12, "held_out": {"pixels": 0.25}},
        torn='{"pictures": 99, "ra',
    )
    assert folder.progress() == {"pictures": 12, "rate": 2.5, "losses": {"layout": 0.5}}


def test_what_is_measured_again_counts_once_and_a_half_grid_not_at_all(folder: TrainingFolder) -> None:
    note(
        folder,
        {"pictures": 10, "held_out": {"pixels": 0.5}},
        {"pictures": 20, "held_out": {"pixels": float("nan")}},
        {"pictures": 10, "held_out": {"pixels": 0.25}},
    )
    (folder.path / "grids" / "000000010.png").write_bytes(PNG)
    (folder.path / "grids" / "000000020.png").write_bytes(PNG[:-3])
    first, second = folder.measured()
    assert (first.pictures, first.held_out) == (10, {"pixels": 0.25})
    assert first.grid == folder.path / "grids" / "000000010.png"
    assert (second.pictures, second.held_out, second.grid) == (20, {}, None)


def test_prepared_data_move_on_to_the_next_lease_and_nothing_else_does(tmp_path: Path) -> None:
    first = TrainingFolder(tmp_path, "trn_1", 1)
    prepare(first)
    first.checkpoint.write_bytes(b"old")
    second = TrainingFolder(tmp_path, "trn_1", 2)
    assert second.prepared
    assert second.checkpoint_time() is None
    assert not first.path.exists()


def test_unfinished_preparation_is_not_taken_over(tmp_path: Path) -> None:
    first = TrainingFolder(tmp_path, "trn_1", 1)
    (first.path / "prepared").mkdir()
    assert not TrainingFolder(tmp_path, "trn_1", 2).prepared


def test_a_snapshot_stays_when_the_checkpoint_is_replaced(folder: TrainingFolder, tmp_path: Path) -> None:
    folder.checkpoint.write_bytes(b"first")
    kept = folder.snapshot()
    (tmp_path / "new").write_bytes(b"second")
    (tmp_path / "new").replace(folder.checkpoint)
    assert kept.read_bytes() == b"first"
    assert folder.snapshot().read_bytes() == b"second"


def test_the_stored_log_has_whole_lines_only(folder: TrainingFolder) -> None:
    assert folder.log_snapshot().read_bytes() == b""
    note(folder, {"pictures": 10}, torn='{"pictures"')
    assert folder.log_snapshot().read_text().endswith("}\n")


def test_settings_keep_what_else_is_in_them(folder: TrainingFolder) -> None:
    folder.write_settings(["train", "a"], None)
    settings = folder.path / "settings.json"
    settings.write_text(json.dumps({"command": ["x"], "warm_start": None, "other": 1}))
    folder.write_settings(["train", "b"], "abc")
    assert json.loads(settings.read_text()) == {"command": ["train", "b"], "warm_start": "abc", "other": 1}


def test_what_is_kept_can_be_listed_and_dropped(tmp_path: Path) -> None:
    assert kept_trainings(tmp_path) == []
    for name in ("trn_1", "trn_2"):
        TrainingFolder(tmp_path, name, 1)
    drop_training(tmp_path, "trn_1")
    assert kept_trainings(tmp_path) == ["trn_2"]
