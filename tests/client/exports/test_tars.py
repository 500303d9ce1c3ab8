"""Tars of atlases, whoever made them: what they keep of each picture, and what they are refused for."""

import io
import json
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import pytest

import imago
from imago.exports.files import files_at
from imago.exports.hashes import Index
from imago.exports.tars import pack
from tests.client.exports.test_small_atlas import SMALL_ATLAS

MANY = 4_000


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SMALL_ATLAS, tmp_path / "mine"))


def packed(folder: Path, to: Path) -> Path:
    pack(folder, to, json.loads((folder / "atlas.json").read_text())["files"])
    return to


def test_neither_packing_nor_reading_one_keeps_more_than_numbers_of_each_picture(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    names = [f"images/{number // 100}/{number:05d}-0.png" for number in range(MANY)]
    folder.mkdir()
    (folder / "atlas.json").write_text("{}")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    tracemalloc.start()
    try:
        pack(folder, tmp_path / "many.tar", [])
        before, packing = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        found = files_at(tmp_path / "many.tar")
        after, reading = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert packing < MANY * 60
    assert reading - before < MANY * 250
    assert after - before < MANY * 50
    assert found.read(names[2345]) == names[2345].encode()
    found.close()


def test_of_rows_with_one_key_the_last_comes_first() -> None:
    index = Index(1, [(7, 1), (3, 2), (7, 3), (2**64 - 1, 4)])
    assert [*index.of(7)] == [(3,), (1,)]
    assert [*index.of(2**64 - 1)] == [(4,)]
    assert [*index.of(5)] == []


def test_a_picture_is_found_in_it_by_its_digest(copy: Path, tmp_path: Path) -> None:
    line = json.loads((copy / "units.jsonl").read_text().splitlines()[100])
    content = (copy / line["file_name"]).read_bytes()
    with imago.open(packed(copy, tmp_path / "mine.tar")) as opened:
        opened.check()
        asked = f"/v1/visualizations/{line['digest']}/image"
        assert (
            opened._transport.get_bytes(asked, {"format": line["media_type"].removeprefix("image/")})
            == content
        )
        with pytest.raises(imago.NotFound, match="has no picture"):
            opened._transport.get_bytes(f"/v1/visualizations/{line['digest'][:16]}{'0' * 48}/image")


def test_a_line_without_a_digest_is_damage_also_where_pictures_are_asked_for_by_it(copy: Path) -> None:
    for damaged in (b"{}", b"[", b'{"digest": 7}'):
        (copy / "units.jsonl").write_bytes(damaged)
        with imago.open(copy) as opened, pytest.raises(imago.DamagedExport, match="damaged at byte 0"):
            opened._transport.get_bytes(f"/v1/visualizations/{'0' * 64}/image")


def test_a_member_with_holes_is_no_file_of_it(copy: Path, tmp_path: Path) -> None:
    name = json.loads((copy / "units.jsonl").read_text().splitlines()[0])["file_name"]
    path = tmp_path / "theirs.tar"
    content = (copy / name).read_bytes()
    with tarfile.open(path, "w") as tar:
        for file in sorted(each for each in copy.rglob("*") if each.is_file() and each != copy / name):
            tar.add(file, file.relative_to(copy).as_posix())
        member = tarfile.TarInfo(name)
        member.size = len(content)
        member.pax_headers = {"GNU.sparse.map": f"0,{len(content)}", "GNU.sparse.size": str(len(content))}
        tar.addfile(member, io.BytesIO(content))
    with imago.open(path) as opened, pytest.raises(imago.DamagedExport, match="has no file"):
        opened.check()


def test_a_member_of_less_than_no_bytes_makes_it_no_tar(tmp_path: Path) -> None:
    member = tarfile.TarInfo("atlas.json")
    member.size = -512
    (tmp_path / "odd.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(imago.ImagoError, match="no uncompressed tar, or was cut off"):
        imago.open(tmp_path / "odd.tar")


def test_one_that_is_refused_stays_not_open(copy: Path, tmp_path: Path) -> None:
    (copy / "atlas.json").write_text("{}")
    path = tmp_path / "mine.tar"
    pack(copy, path, [])
    here = Path("/proc/self/fd")
    with pytest.raises(imago.DamagedExport):
        imago.open(path)
    assert path not in [each.resolve() for each in here.iterdir()]
