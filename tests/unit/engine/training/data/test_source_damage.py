"""What is damaged, hidden, too large or out of bounds in a source: left out by name, or an error."""

import gzip
import io
import os
import shutil
import tarfile
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from imago_engine.training.data.sources import SourceError, SourceLimits, open_source

Bytes = Callable[[int], bytes]
MADE = 12
NOBODY = 65534
_BOMB = 16 * 2**20
"""Bytes that deflate to next to nothing."""


@pytest.fixture
def tar(tmp_path: Path, picture_bytes: Bytes) -> Path:
    return _tar(tmp_path / "a.tar", {f"p/{i}.png": picture_bytes(i) for i in range(MADE)})


def _tar(path: Path, members: dict[str, bytes], mode: str = "w", **options: int) -> Path:
    with tarfile.open(path, mode, **options) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1.5
            archive.addfile(member, io.BytesIO(content))
    return path


def _headers(path: Path) -> list[int]:
    with tarfile.open(path) as archive:
        return [member.offset for member in archive.getmembers()]


def _read(path: Path, limits: SourceLimits | None = None) -> tuple[list[str], list[str]]:
    """Names of the pictures that were got and of those that were lost."""
    lost: list[str] = []
    got = [
        picture.name
        for picture in open_source(path, limits=limits, on_loss=lambda name, _: lost.append(name))
    ]
    return got, lost


@pytest.mark.parametrize("pax", [False, True], ids=["plain", "extended headers"])
@pytest.mark.parametrize("header", ["random", "zeros", "size", "checksum"])
@pytest.mark.parametrize("place", [0, 5, MADE - 1])
def test_one_damaged_header_costs_one_picture_and_is_named(
    tmp_path: Path, picture_bytes: Bytes, header: str, place: int, pax: bool
) -> None:
    kind = tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT
    contents = {f"{i}.png": picture_bytes(i) for i in range(MADE)}
    path = _tar(tmp_path / "a.tar", contents, format=kind)
    raw, at = bytearray(path.read_bytes()), _headers(path)[place]
    at += 1024 if pax else 0  # behind the extended header and its content: the member's own
    damage = {
        "random": (0, np.random.default_rng(0).bytes(512)),
        "zeros": (0, bytes(512)),
        "size": (124, b"zzzzzzzzzzzz"),
        "checksum": (148, b"00000000"),
    }
    offset, content = damage[header]
    raw[at + offset : at + offset + len(content)] = content
    path.write_bytes(raw)
    got, lost = _read(path)
    assert got == [f"a.tar/{i}.png" for i in range(MADE) if i != place]
    assert len(lost) == 1
    assert lost[0].startswith("a.tar: byte ")
    with pytest.raises(SourceError, match=r"a\.tar: byte \d+"):
        list(open_source(path))


def test_a_hole_of_zeros_in_a_tar_is_no_end(tar: Path) -> None:
    raw, headers = bytearray(tar.read_bytes()), _headers(tar)
    raw[headers[3] : headers[6]] = bytes(headers[6] - headers[3])
    tar.write_bytes(raw)
    got, lost = _read(tar)
    assert len(got) == MADE - 3
    assert len(lost) == 1


def test_joined_tars_are_read_to_the_end(tar: Path, tmp_path: Path) -> None:
    joined = tmp_path / "joined.tar"
    joined.write_bytes(tar.read_bytes() * 3)
    packed = tmp_path / "joined.tar.gz"
    packed.write_bytes(gzip.compress(tar.read_bytes()) * 2)
    assert _read(joined)[1] == []
    assert (len(_read(joined)[0]), len(_read(packed)[0])) == (3 * MADE, 2 * MADE)


@pytest.mark.parametrize("kept", ["before a header", "within a header", "within a picture", "behind one"])
def test_a_tar_that_is_cut_off_is_an_error_that_names_it(tar: Path, kept: str) -> None:
    at = _headers(tar)[7]
    length = {"before a header": 0, "within a header": 100, "within a picture": 600, "behind one": 512}[kept]
    tar.write_bytes(tar.read_bytes()[: at + length])
    with pytest.raises(SourceError, match=r"a\.tar cannot be read to its end: it is cut off"):
        _read(tar)


def test_an_impossible_size_is_that_of_a_tar_that_is_cut_off(tmp_path: Path, picture_bytes: Bytes) -> None:
    path = _tar(tmp_path / "a.tar", {"0.png": picture_bytes(0)}, format=tarfile.USTAR_FORMAT)
    content = bytearray(path.read_bytes())
    content[124:136] = b"\x80" + (2**70).to_bytes(11, "big")
    content[148:156] = b"%06o\0 " % (256 + sum(content[:148]) + sum(content[156:512]))
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.tar cannot be read to its end: it is cut off within 0\.png"):
        _read(path)


@pytest.mark.parametrize("kind", ["gz", "bz2"])
def test_a_compressed_tar_is_read_and_its_damage_is_an_error_that_names_it(
    tmp_path: Path, picture_bytes: Bytes, kind: str
) -> None:
    path = _tar(
        tmp_path / f"a.tar.{kind}", {f"{i}.png": picture_bytes(i) for i in range(MADE)}, mode=f"w:{kind}"
    )
    assert len(_read(path)[0]) == MADE
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2 : len(whole) // 2 + 20] = bytes(20)
    for damaged in (whole[: len(whole) // 2], whole[:-1], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match=rf"a\.tar\.{kind} cannot be read to its end"):
            _read(path)


def test_an_archive_may_unpack_to_so_much_and_a_picture_have_so_much(
    tmp_path: Path, picture_bytes: Bytes
) -> None:
    members = {"1.png": picture_bytes(1), "2.png": bytes(3_000_000), "3.png": picture_bytes(3)}
    large = SourceLimits(picture=10_000)
    offsets = np.cumsum([0, *map(len, members.values())])
    packed = tmp_path / "a.npz"
    np.savez_compressed(packed, blob=np.frombuffer(b"".join(members.values()), np.uint8), offsets=offsets)
    for path in (
        _tar(tmp_path / "a.tar", members),
        _tar(tmp_path / "a.tar.gz", members, mode="w:gz"),
        packed,
        _folder(tmp_path / "folder", members),
    ):
        got, lost = _read(path, limits=large)
        assert (len(got), len(lost)) == (2, 1)
    bomb = SourceLimits(unpacked=1_000_000)
    for path in (tmp_path / "a.tar.gz", packed):
        with pytest.raises(SourceError, match=r"unpacks to"):
            _read(path, limits=bomb)
    assert len(_read(tmp_path / "a.tar", limits=bomb)[0]) == 3  # it is no larger than its file


def _folder(folder: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_hidden_files_and_what_systems_leave_are_no_pictures(tmp_path: Path, picture_bytes: Bytes) -> None:
    names = ["p/1.png", "p/._1.png", "p/.2.png", "__MACOSX/p/1.png", ".thumbnails/1.png", "p/@eaDir/1.png"]
    members = dict.fromkeys([*names, "p/.DS_Store", "p/Thumbs.db"], picture_bytes(1))
    folder = _folder(tmp_path / ".cache" / "set", members)  # hidden itself: it was named all the same
    assert _read(folder) == (["p/1.png"], [])
    assert _read(_tar(tmp_path / "a.tar", {f"./{name}": b"" for name in members}))[0] == ["a.tar/p/1.png"]
    shards = _folder(tmp_path / "shards", {"._1.tar": b"no tar"})
    _tar(shards / "1.tar", {"1.png": picture_bytes(1)})
    assert _read(shards) == (["1.tar/1.png"], [])


def test_masks_of_a_sample_are_no_pictures(tmp_path: Path) -> None:
    names = [
        *("a/1.jpg", "a/1.json", "a/1.mask.png", "a/1.seg.png"),
        *("a/2.depth_map.png", "a/2.jpg", "a/3.jpg", "a/3.png"),
        *("a/4.left.png", "a/4.right.png", "a/4.mask0.png"),
        *("b/1.mask.png", "b/1.json", "v1.2.jpg", "v1.3.jpg", "video.0001.jpg", "video.0002.jpg"),
    ]
    got, lost = _read(_tar(tmp_path / "a.tar", dict.fromkeys(names, b"")))
    expected = ["a/1.jpg", "a/2.jpg", "a/3.jpg", "a/4.left.png", "a/4.right.png"]
    plain = ["v1.2.jpg", "v1.3.jpg", "video.0001.jpg", "video.0002.jpg"]
    assert got == [f"a.tar/{name}" for name in [*expected, *plain]]
    assert lost == []
    folder = _folder(tmp_path / "set", dict.fromkeys(["1.jpg", "1.mask.png", "2.jpg", "2.png"], b""))
    assert _read(folder)[0] == ["1.jpg", "2.jpg", "2.png"]


def test_links_are_followed_to_files_below_the_root_alone(tmp_path: Path, picture_bytes: Bytes) -> None:
    root = _folder(tmp_path / "data", {"set/1.png": picture_bytes(1), "other/2.png": picture_bytes(2)})
    secret = _folder(tmp_path / "secret", {"3.png": picture_bytes(3), "4.png": picture_bytes(4)})
    for name, target in {
        "in.png": root / "other" / "2.png",
        "out.png": secret / "3.png",
        "nothing.png": root / "absent.png",
        "circle.png": root / "set" / "circle.png",
        "folder": secret,
    }.items():
        (root / "set" / name).symlink_to(target)
    os.mkfifo(root / "set" / "pipe.png")
    lost: list[str] = []
    found = open_source(root / "set", root=root, on_loss=lambda name, _: lost.append(name))
    assert [picture.name for picture in found] == ["1.png", "in.png"]
    assert sorted(lost) == ["circle.png", "nothing.png", "out.png"]
    assert [picture.name for picture in open_source(root / "set")] == ["1.png"]  # the source is its own root
    (root / "shards").mkdir()
    (root / "shards" / "1.tar").symlink_to(_tar(secret / "1.tar", {"1.png": picture_bytes(1)}))
    with pytest.raises(SourceError, match=r"1\.tar is a link that leads out"):
        open_source(root / "shards", root=root)


def test_a_folder_that_is_gone_when_its_turn_comes_is_an_error_that_names_it(
    tmp_path: Path, picture_bytes: Bytes
) -> None:
    _folder(tmp_path / "set", {"a/1.png": picture_bytes(1), "b/2.png": picture_bytes(2)})
    pictures = open_source(tmp_path / "set", on_loss=lambda name, reason: None)
    assert next(pictures).name == "a/1.png"
    shutil.rmtree(tmp_path / "set" / "b")
    with pytest.raises(SourceError, match=r"set/b cannot be read: No such file or directory"):
        next(pictures)


def test_a_folder_that_this_user_may_not_list_is_an_error_that_names_it(picture_bytes: Bytes) -> None:
    with tempfile.TemporaryDirectory() as name, as_somebody(Path(name)):
        source = _folder(Path(name) / "set", {"a/1.png": picture_bytes(1), "b/2.png": picture_bytes(2)})
        for secret in (source / "b", source):
            secret.chmod(0)
            with pytest.raises(SourceError, match=f"{secret} cannot be read: Permission denied"):
                list(open_source(source))
        source.chmod(0o700)
        (source / "b").chmod(0o700)


@contextmanager
def as_somebody(folder: Path) -> Iterator[None]:
    """Give a folder to a user for whom permissions count, and be that one."""
    if os.geteuid():
        yield
        return
    os.chown(folder, NOBODY, -1)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_source_that_cannot_even_be_looked_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: File name too long"):
        open_source(tmp_path / ("a" * 300))


def test_links_within_a_tar_are_passed_over(tmp_path: Path, picture_bytes: Bytes) -> None:
    path = tmp_path / "a.tar"
    (tmp_path / "outside.png").write_bytes(picture_bytes(1))
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            member = tarfile.TarInfo(f"{kind!r}.png")
            member.type, member.linkname = kind, "../outside.png"
            archive.addfile(member)
        member = tarfile.TarInfo("own.png")
        member.size = len(picture_bytes(2))
        archive.addfile(member, io.BytesIO(picture_bytes(2)))
    assert _read(path) == (["a.tar/own.png"], [])


def test_long_names_and_those_that_no_encoding_has_are_read(tmp_path: Path, picture_bytes: Bytes) -> None:
    long = "d/" * 150 + "ü.png"
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = _tar(tmp_path / "a.tar", {long: picture_bytes(1), "b.png": picture_bytes(2)}, format=kind)
        assert _read(path) == ([f"a.tar/{long}", "a.tar/b.png"], [])


SIZES = (40, 50, 60)
BLOB = np.zeros(150, np.uint8)
OFFSETS = np.cumsum([0, *SIZES])


def _packed(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


def _zipped(method: int, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


WHOLE = _packed(blob=BLOB, offsets=OFFSETS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        WHOLE[: len(WHOLE) // 2],
        *(_flipped(WHOLE, at) for at in (200, len(WHOLE) - 30)),
        _flipped(_packed(blob=np.zeros(9000, np.uint8), offsets=OFFSETS), 200),  # with bytes of no picture
        _packed(blob=BLOB, offsets=OFFSETS.astype(float)),
        _packed(blob=BLOB, offsets=OFFSETS[::-1]),
        _packed(blob=BLOB, offsets=OFFSETS - 1),
        _packed(blob=BLOB, offsets=OFFSETS + 1),
        _packed(blob=BLOB, offsets=np.zeros(0, np.int64)),
        _packed(blob=BLOB, offsets=np.int64(3)),
        _packed(blob=BLOB.reshape(10, 15), offsets=OFFSETS),
        _packed(blob=BLOB.astype(np.int64), offsets=OFFSETS),
        _packed(blob=BLOB, offsets=OFFSETS, split=np.zeros(2)),
        _packed(blob=BLOB, offsets=OFFSETS, split=np.zeros(4)),
        _packed(blob=np.array([{}]), offsets=OFFSETS),
        _zipped(zipfile.ZIP_DEFLATED, blob=b"no array", offsets=b"\x93NUMPY\x01\0\x05\0{'a':"),
        _zipped(zipfile.ZIP_LZMA, blob=bytes(99), offsets=bytes(99)),
    ],
)
def test_a_packed_set_that_is_damaged_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.npz"):
        _read(path)


def _array(header: str, content: bytes, version: int = 1) -> bytes:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + content


def _described(shape: str, dtype: str = "|u1") -> str:
    return f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({shape},), }}\n"


@pytest.mark.parametrize(
    ("broken", "content", "message"),
    [
        ("offsets", _array(_described(str(2**26 + 2)), b""), "67,108,866 entries.*67,108,864 pictures"),
        ("split", _array(_described(str(2**26 + 2)), b""), "67,108,866 entries.*67,108,864 pictures"),
        (
            "offsets",
            _array(_described("-1", "<i8"), bytes(_BOMB)),
            r"shape \[-1\]; expected sizes of at least",
        ),
        ("blob", _array(_described("-1"), bytes(_BOMB)), r"shape \[-1\]; expected sizes of at least"),
        ("offsets", _array(" " * _BOMB, b"", version=2), "a header of .* bytes; at most 10,000"),
        ("offsets", _array(_described("2"), bytes(1)), "offsets is cut off"),
    ],
    ids=["offsets", "split", "no size", "no size of bytes", "header", "cut off"],
)
def test_a_packed_set_that_claims_too_much_is_refused_before_it_is_in_memory(
    tmp_path: Path, broken: str, content: bytes, message: str
) -> None:
    arrays = {name: _array(_described("2"), bytes(2)) for name in ("blob", "offsets")} | {broken: content}
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", array)
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match=message):
            list(open_source(tmp_path / "a.npz"))
        assert tracemalloc.get_traced_memory()[1] < _BOMB / 2
    finally:
        tracemalloc.stop()


def test_a_packed_set_keeps_its_places_as_numbers_alone(tmp_path: Path) -> None:
    count = 200_000
    np.savez_compressed(tmp_path / "a.npz", blob=np.zeros(1, np.uint8), offsets=np.zeros(count, np.uint8))
    pictures = open_source(tmp_path / "a.npz")
    tracemalloc.start()
    try:
        next(pictures)
        assert tracemalloc.get_traced_memory()[1] < 8 * count  # a list alone has eight bytes an entry
    finally:
        tracemalloc.stop()


def test_of_one_sample_no_more_is_held_than_one_picture_may_have(tmp_path: Path) -> None:
    size = 2**20
    names = [f"1.{letter}.png" for letter in "abcdefghijklmnop"]
    path = _tar(tmp_path / "a.tar.gz", dict.fromkeys(names, bytes(size)), "w:gz", compresslevel=1)
    tracemalloc.start()
    try:
        pictures = open_source(path, limits=SourceLimits(picture=5 * size // 2))
        assert [picture.name for picture in pictures] == [f"a.tar.gz/{name}" for name in names]
        assert tracemalloc.get_traced_memory()[1] < len(names) * size / 2
    finally:
        tracemalloc.stop()
