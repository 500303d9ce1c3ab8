from pathlib import Path

import pytest
import torch

from imago_engine.importing.bounds_file import read_bounds
from imago_engine.importing.errors import GeneratorImportError


def written(folder: Path, text: str) -> Path:
    path = folder / "fc6.txt"
    path.write_text(text)
    return path


def test_one_line_of_whole_numbers_is_read_in_order(tmp_path: Path) -> None:
    numbers = [(7 * i) % 17 for i in range(4096)]
    bounds = read_bounds(written(tmp_path, " ".join(map(str, numbers)) + " \n"), (4096,))
    assert bounds.dtype == torch.float32
    assert bounds.tolist() == numbers


def test_decimal_numbers_on_many_lines_are_read(tmp_path: Path) -> None:
    assert read_bounds(written(tmp_path, "1.5\n2e1\t0,3\n"), (4,)).tolist() == [1.5, 20.0, 0.0, 3.0]


def test_a_spatial_code_takes_one_number_a_neuron_or_one_a_channel(tmp_path: Path) -> None:
    every = read_bounds(written(tmp_path, " ".join(map(str, range(12)))), (3, 2, 2))
    assert every.flatten().tolist() == list(range(12))
    channels = read_bounds(written(tmp_path, "5 6 7"), (3, 2, 2))
    assert channels.shape == (3, 2, 2)
    assert channels.flatten(1).tolist() == [[5] * 4, [6] * 4, [7] * 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", r"expected 4 numbers for codes of shape \[4\], got 3"),
        ("", "got 0"),
        ("1 2 x 4", "number 3 is 'x'"),
        ("1 -2 3 4", "number 2 is -2"),
        ("1 2 inf 4", "number 3 is inf"),
    ],
)
def test_other_content_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(GeneratorImportError, match=message):
        read_bounds(written(tmp_path, text), (4,))


def test_a_binary_file_is_no_bounds_file(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GeneratorImportError, match="no readable bounds file"):
        read_bounds(tmp_path / "b.txt", (4,))
