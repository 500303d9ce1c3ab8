"""The description in a generator's file is read without its weights."""

import json
from pathlib import Path

import pytest

from imago_engine.generators import KEY, GeneratorFileError, GeneratorInfo, read_description
from tests import small_world


def test_the_description_is_what_the_engine_wrote(tmp_path: Path) -> None:
    info = GeneratorInfo.of(read_description(small_world.write_generator(tmp_path)))
    assert (info.architecture, info.image_size) == ("compact", small_world.IMAGE_SIZE)
    assert info.code_shape == (small_world.CODE_SIZE,)


def _file(header: bytes, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header


def _described(description: object) -> bytes:
    return _file(json.dumps({"__metadata__": {KEY: json.dumps(description)}}).encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable safetensors file"),
        (_file(b"{}", length=2**62), "not a readable safetensors file"),
        (_file(b"[1]"), "not a readable safetensors file"),
        (_file(b"\xff\xff"), "not a readable safetensors file"),
        (_file(b"{}"), "expected the metadata key 'imago-generator'"),
        (_file(b'{"__metadata__": 3}'), "expected the metadata key 'imago-generator'"),
        (_described({"version": 1}), "does not describe a generator"),
        (_described({"version": 1, "info": []}), "does not describe a generator"),
        (_described({"version": 2, "info": {}}), "of version 1, got 2"),
    ],
)
def test_another_file_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(GeneratorFileError, match=message):
        read_description(tmp_path / "file")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GeneratorFileError, match="not a readable safetensors file"):
        read_description(tmp_path / "absent")
