from pathlib import Path

import pytest

from services.access.data_root import has_data_root
from worker.trainings.sources import SourceRefused, locate_sources


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "sets" / "birds").mkdir(parents=True)
    (root / "sets" / "birds" / "1.png").touch()
    (root / "cats.tar").touch()
    (root / "not-mounted").mkdir()
    (tmp_path / "secret").mkdir()
    (root / "link").symlink_to(tmp_path / "secret")
    return root


def test_a_data_root_is_a_folder_that_is_there(root: Path) -> None:
    assert has_data_root(root)
    assert not has_data_root(root / "nowhere")
    assert not has_data_root(root / "cats.tar")
    assert not has_data_root(None)


def test_a_data_root_that_the_operating_system_refuses_to_look_at_is_not_there(root: Path) -> None:
    assert not has_data_root(root / ("x" * 300))  # ENAMETOOLONG, as good as a mount's ESTALE or EIO


def test_sources_are_found_below_the_root(root: Path) -> None:
    assert locate_sources(["sets/birds", "cats.tar"], root) == [root / "sets" / "birds", root / "cats.tar"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("dogs", "does not exist below the data root"),
        ("../secret", "leads out of the data root"),
        ("not-mounted", "is an empty folder on this worker"),
        ("x" * 300, "cannot be looked for on this worker: File name too long"),  # as good as ESTALE or EIO
        ("link", "leads out of the data root"),
        ("/etc", "leads out of the data root"),
    ],
)
def test_nothing_else_is_opened(root: Path, source: str, message: str) -> None:
    with pytest.raises(SourceRefused, match=message):
        locate_sources(["cats.tar", source], root)


def test_without_a_root_the_message_names_the_setting() -> None:
    with pytest.raises(SourceRefused, match="IMAGO_DATA_ROOT"):
        locate_sources(["birds"], None)
