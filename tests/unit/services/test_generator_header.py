import json
from pathlib import Path

import pytest

from services.generator_header import KEY, VERSION, GeneratorHeaderError, read_description
from tests import small_world
from worker.synthesis import generator_file


def test_the_description_is_what_the_engine_wrote(tmp_path: Path) -> None:
    path = small_world.write_generator(tmp_path)
    info = read_description(path)
    assert (info["architecture"], info["image_size"]) == ("compact", small_world.IMAGE_SIZE)
    assert info["code_shape"] == [small_world.CODE_SIZE]
    assert (KEY, VERSION) == (generator_file.KEY, generator_file.VERSION)


def _file(header: bytes, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header


def _described(description: object) -> bytes:
    return _file(json.dumps({"__metadata__": {KEY: json.dumps(description)}}).encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors file"),
        (_file(b"{}", length=2**62), "not a safetensors file"),
        (_file(b"[1]"), "no description"),
        (_file(b"{}"), "no description"),
        (_file(b"\xff\xff"), "no description"),
        (_described({"version": 1}), "no description"),
        (_described({"version": 2, "info": {}}), "of version 1, got 2"),
    ],
)
def test_another_file_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(GeneratorHeaderError, match=message):
        read_description(tmp_path / "file")
