from pathlib import Path

import pytest

from worker.loading.runtime import WeightFileError, locate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "weights"
    inside.mkdir()
    (inside / "net.safetensors").touch()
    (inside / "net.pt").touch()
    (tmp_path / "secret.safetensors").touch()
    (inside / "link.safetensors").symlink_to(tmp_path / "secret.safetensors")
    return inside


def test_a_file_in_the_folder_is_found(folder: Path) -> None:
    assert locate("net.safetensors", folder) == folder / "net.safetensors"


@pytest.mark.parametrize(
    "name",
    [
        "../secret.safetensors",
        "link.safetensors",
        "net.pt",
        "absent.safetensors",
        "",
        ".",
        "sub/../../secret.safetensors",
    ],
)
def test_nothing_else_is_opened(folder: Path, name: str) -> None:
    with pytest.raises(WeightFileError):
        locate(name, folder)


def test_an_absolute_path_is_not_opened(folder: Path) -> None:
    with pytest.raises(WeightFileError, match="outside"):
        locate(str(folder.parent / "secret.safetensors"), folder)


def test_where_the_folder_lies_is_nobodys_concern_who_registers_a_file(folder: Path) -> None:
    with pytest.raises(WeightFileError, match="IMAGO_WEIGHTS_FOLDER") as absent:
        locate("absent.safetensors", folder)
    assert str(folder) not in str(absent.value)


def test_without_a_folder_the_message_names_the_setting() -> None:
    with pytest.raises(WeightFileError, match="IMAGO_WEIGHTS_FOLDER"):
        locate("net.safetensors", None)
