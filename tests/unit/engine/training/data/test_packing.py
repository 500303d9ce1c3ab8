import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imago_engine.training.data.decoding import decoded
from imago_engine.training.data.encoder import Encoder
from imago_engine.training.data.left_out import LeftOut
from imago_engine.training.data.packing import PackedSet, Packing, pack
from imago_engine.training.data.preparation import DataError, Limits, centre_square, load_prepared, prepare
from imago_engine.training.data.sources import RawPicture, open_source

Bytes = Callable[[int], bytes]
MIB = 2**20


def packing(largest: int = MIB, size: int = 32, held_out: int = 8, seed: int = 0) -> Packing:
    return Packing(largest, size, quality=90, held_out=held_out, seed=seed)


def noise(seed: int, size: int = 48) -> bytes:
    """A PNG that no JPEG makes small."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def packed(out: Path, sources: list[tuple[str, float, list[RawPicture]]], how: Packing) -> PackedSet:
    return pack(out, sources, how, LeftOut())


def test_what_was_packed_is_read_back_as_training_data(
    tmp_path: Path, encoder: Encoder, picture_bytes: Bytes
) -> None:
    pictures = [RawPicture(str(i), picture_bytes(i), held_out=i % 4 == 0) for i in range(40)]
    out = tmp_path / "packed.npz"
    made = packed(out, [("drawn", 1, pictures)], packing())
    assert (made.pictures, made.held_out, made.by_source) == (38, 8, {"drawn": 38})
    read = list(open_source(out))
    assert [picture.held_out for picture in read] == [False] * 30 + [True] * 8
    originals = [centre_square(decoded(picture.content), 32).astype(int) for picture in pictures]
    for picture, original in zip(read, [o for i, o in enumerate(originals) if i % 4], strict=False):
        image = np.asarray(decoded(picture.content)).astype(int)
        assert image.shape == (32, 32, 3)
        assert np.abs(image - original).mean() < 12  # a JPEG of it, and of no other
    folder = tmp_path / "prepared"
    limits = Limits(held_out=8, minimum=16)
    index = prepare(folder, iter(read), encoder, image_size=32, sources=(out.name,), limits=limits)
    assert (index.train, index.held_out) == (30, 8)
    assert len(load_prepared(folder).codes) == 38


def test_a_file_is_no_larger_than_asked_for_and_nearly_as_large(tmp_path: Path) -> None:
    pictures = [RawPicture(str(i), noise(i)) for i in range(120)]
    largest = 100_000
    made = packed(tmp_path / "packed.npz", [("noise", 1, pictures)], packing(largest))
    assert 0.8 * largest < (tmp_path / "packed.npz").stat().st_size <= largest
    assert 20 < made.pictures < 100
    # Evenly: not the first ones.
    kept = {picture.content for picture in open_source(tmp_path / "packed.npz")}
    late = packed(tmp_path / "late.npz", [("noise", 1, pictures[60:])], packing())
    assert late.pictures == 60
    shared = kept & {picture.content for picture in open_source(tmp_path / "late.npz")}
    assert 0.2 < len(shared) / made.pictures < 0.8


def test_pictures_of_a_heavier_source_are_likelier_to_be_packed(tmp_path: Path) -> None:
    sources = [
        (name, weight, [RawPicture(f"{name}{i}", noise(i + 1000 * number)) for i in range(150)])
        for number, (name, weight) in enumerate([("plain", 1.0), ("sharp", 4.0)])
    ]
    made = packed(tmp_path / "packed.npz", sources, packing(100_000))
    assert made.by_source["sharp"] > 1.7 * made.by_source["plain"] > 0
    again = packed(tmp_path / "again.npz", sources, packing(100_000))
    assert again == made
    with np.load(tmp_path / "packed.npz") as arrays:
        assert arrays["classes"].tolist() == ["plain", "sharp"]
        assert np.bincount(arrays["labels"]).tolist() == list(made.by_source.values())


def test_small_pictures_are_not_enlarged(tmp_path: Path, picture_bytes: Bytes) -> None:
    packed(tmp_path / "packed.npz", [("drawn", 1, [RawPicture("a", picture_bytes(0))])], packing(size=128))
    (picture,) = open_source(tmp_path / "packed.npz")
    assert decoded(picture.content).size == (40, 40)


def test_what_cannot_be_decoded_is_named_and_nothing_is_written_of_nothing(tmp_path: Path) -> None:
    left_out = LeftOut()
    with pytest.raises(DataError, match="nothing is left to pack of 1 pictures"):
        pack(tmp_path / "x.npz", [("bad", 1, [RawPicture("a.jpg", b"no")])], packing(), left_out)
    assert left_out.count == 1
    assert not list(tmp_path.iterdir())


def test_held_out_pictures_that_leave_no_room_are_named_with_the_option_that_limits_them(
    tmp_path: Path,
) -> None:
    pictures = [RawPicture(str(i), noise(i), held_out=i > 0) for i in range(60)]
    with pytest.raises(
        DataError, match=r"held-out pictures fill .* lower --held-out or --size, or raise --mib"
    ):
        packed(tmp_path / "x.npz", [("noise", 1, pictures)], packing(20_000, held_out=100))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    (tmp_path / "packed.npz").write_bytes(b"before")
    pictures = [RawPicture(str(i), noise(i)) for i in range(40)]
    with file_size_limit(1 << 14), pytest.raises(OSError, match=r"packed\.npz"):
        packed(tmp_path / "packed.npz", [("noise", 1, pictures)], packing())
    assert [path.name for path in tmp_path.iterdir()] == ["packed.npz"]
    assert (tmp_path / "packed.npz").read_bytes() == b"before"
