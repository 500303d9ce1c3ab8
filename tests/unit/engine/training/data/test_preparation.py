import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imago_engine.synthesis.networks.truncate import LayerError
from imago_engine.training.data.encoder import Encoder
from imago_engine.training.data.left_out import LeftOut
from imago_engine.training.data.preparation import (
    DataError,
    DataUnread,
    Limits,
    Prepared,
    centre_square,
    decode,
    forget_prepared,
    load_prepared,
    prepare,
)
from imago_engine.training.data.sources import RawPicture, Unread
from imago_engine.training.run.loading import load_encoder

Bytes = Callable[[int], bytes]


def test_every_picture_is_written_once_with_its_own_code(
    prepared: Prepared, encoder: Encoder, picture_bytes: Bytes
) -> None:
    index = prepared.index
    assert (index.train, index.held_out, index.corrupt) == (54, 6, 0)  # a tenth of 60 is held out
    squares = {}
    for i in range(60):
        image = decode(RawPicture("", picture_bytes(i)))
        assert image is not None
        squares[centre_square(image, 32).tobytes()] = i
    assert {squares[image.tobytes()] for image in prepared.images} == set(range(60))
    rows = torch.from_numpy(np.array(prepared.images[:4])).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(
        torch.from_numpy(np.array(prepared.codes[:4])), encoder(rows), atol=1e-3, rtol=1e-3
    )


def test_data_are_told_apart_by_the_bytes_of_their_pictures_and_not_by_what_a_machine_calls_or_makes_of_them(
    tmp_path: Path, encoder: Encoder, picture_bytes: Bytes
) -> None:
    pictures = [RawPicture(f"/here/{i}", picture_bytes(i)) for i in range(20)]

    def fingerprint(pictures: list[RawPicture], sources: tuple[str, ...] = ("birds",)) -> str:
        limits = Limits(held_out=4, minimum=8)
        prepare(tmp_path, pictures, encoder, image_size=16, sources=sources, limits=limits)
        told = load_prepared(tmp_path).fingerprint
        assert told is not None
        return told

    first = fingerprint(pictures)
    there = [replace(picture, name=picture.name.replace("here", "there")) for picture in pictures]
    assert fingerprint(there, ("where-the-link-leads",)) == first
    assert fingerprint([*pictures[:10], RawPicture("another", picture_bytes(99)), *pictures[11:]]) != first
    assert fingerprint([pictures[1], pictures[0], *pictures[2:]]) != first


def test_pictures_that_a_source_holds_out_are_never_trained_on(
    tmp_path: Path, encoder: Encoder, picture_bytes: Bytes
) -> None:
    pictures = [RawPicture(str(i), picture_bytes(i), held_out=i % 2 == 1) for i in range(40)]
    index = prepare(
        tmp_path, pictures, encoder, image_size=16, sources=(), limits=Limits(held_out=4, minimum=8)
    )
    assert (index.train, index.held_out) == (20, 4)
    odd = set()
    for i in range(1, 40, 2):
        image = decode(pictures[i])
        assert image is not None
        odd.add(centre_square(image, 16).tobytes())
    images = load_prepared(tmp_path).images
    assert len(images) == 24
    assert all(image.tobytes() in odd for image in images[20:])
    assert not any(image.tobytes() in odd for image in images[:20])


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (2, 3)])
def test_pictures_of_any_shape_become_squares(
    tmp_path: Path, encoder: Encoder, shape: tuple[int, int]
) -> None:
    file = io.BytesIO()
    Image.new("RGB", shape, (200, 30, 90)).save(file, "PNG")
    pictures = [RawPicture(str(i), file.getvalue()) for i in range(8)]
    limits = Limits(held_out=0, minimum=8)
    index = prepare(tmp_path, pictures, encoder, image_size=16, sources=(), limits=limits)
    assert (index.train, index.corrupt) == (8, 0)
    assert (load_prepared(tmp_path).images == np.array([200, 30, 90])).all()


def test_corrupt_pictures_are_left_out_and_counted(
    tmp_path: Path, encoder: Encoder, picture_bytes: Bytes
) -> None:
    whole = picture_bytes(0)
    contents = [picture_bytes(i) for i in range(40)] + [b"no picture", whole[: len(whole) // 2]]
    pictures = [RawPicture("", content) for content in contents]
    limits = Limits(held_out=0, minimum=8, corrupt_share=0.1)
    index = prepare(tmp_path, pictures, encoder, image_size=16, sources=(), limits=limits)
    assert (index.train, index.corrupt) == (40, 2)


def test_too_many_corrupt_pictures_are_an_error_with_their_number(
    tmp_path: Path, encoder: Encoder, picture_bytes: Bytes
) -> None:
    pictures = [RawPicture("", picture_bytes(i) if i % 4 else b"") for i in range(40)]
    with pytest.raises(DataError, match="10 of 40 pictures could not be decoded; at most 5%"):
        prepare(tmp_path, pictures, encoder, image_size=16, sources=(), limits=Limits(minimum=8))
    with pytest.raises(DataError, match="no finished preparation"):
        load_prepared(tmp_path)


def test_too_few_pictures_are_an_error_with_both_numbers(
    tmp_path: Path, encoder: Encoder, picture_bytes: Bytes
) -> None:
    pictures = [RawPicture("", picture_bytes(i)) for i in range(10)]
    with pytest.raises(DataError, match="9 pictures to train on are too few: at least 256"):
        prepare(tmp_path, pictures, encoder, image_size=16, sources=())


@pytest.mark.parametrize(("readable", "minimum"), [(20, 16), (19, 20)])
def test_what_would_make_a_training_set_if_all_could_be_read_may_do_so_at_another_time(
    tmp_path: Path, encoder: Encoder, picture_bytes: Bytes, readable: int, minimum: int
) -> None:
    def prepare_without(reason: str) -> None:
        left_out = LeftOut()
        for n in range(10):
            left_out.add(f"away-{n}", reason)
        pictures = [RawPicture(str(n), picture_bytes(n)) for n in range(readable)]
        limits = Limits(held_out=2, minimum=minimum, corrupt_share=0.05 if minimum < 20 else 1)
        prepare(tmp_path, pictures, encoder, image_size=16, sources=("a",), limits=limits, left_out=left_out)

    with pytest.raises(DataUnread, match="away-0"):
        prepare_without(Unread("cannot be read: Stale file handle"))
    with pytest.raises(DataError) as final:
        prepare_without("a link to nothing")
    assert not isinstance(final.value, DataUnread)


def test_an_index_says_what_earlier_releases_know_and_the_hash_of_the_pictures_goes_with_it(
    tmp_path: Path, encoder: Encoder, picture_bytes: Bytes
) -> None:
    pictures = [RawPicture(str(n), picture_bytes(n)) for n in range(20)]
    index = prepare(
        tmp_path, pictures, encoder, image_size=16, sources=("a",), limits=Limits(held_out=4, minimum=8)
    )
    assert set(json.loads((tmp_path / "index.json").read_text())) == {
        *("train", "held_out", "corrupt", "image_size", "code_shape", "encoder", "encoder_layer"),
        *("encoder_sha256", "encoder_input_size", "sources"),
    }
    assert load_prepared(tmp_path).index == index
    assert index.pictures_sha256
    forget_prepared(tmp_path)
    assert not (tmp_path / "pictures_sha256").exists(), "an earlier release may prepare others there"


def test_codes_of_a_convolutional_layer_keep_their_shape(tmp_path: Path, picture_bytes: Bytes) -> None:
    encoder = load_encoder("efficientnet_lite0.imagenet", "blocks.2", 32)
    pictures = [RawPicture("", picture_bytes(i)) for i in range(10)]
    index = prepare(tmp_path, pictures, encoder, image_size=16, sources=(), limits=Limits(minimum=8))
    assert index.code_shape == (40, 4, 4)
    assert load_prepared(tmp_path).codes.shape == (10, 40, 4, 4)


def test_an_encoder_layer_that_does_not_exist_is_an_error_that_names_close_ones() -> None:
    with pytest.raises(LayerError, match=r"'global_pol' does not exist.*global_pool"):
        load_encoder("efficientnet_lite0.imagenet", "global_pol", 32)


def test_pictures_that_are_left_out_are_named_with_the_reason(
    tmp_path: Path, encoder: Encoder, picture_bytes: Bytes
) -> None:
    left_out = LeftOut()
    left_out.add("lost.png", "a link that leads out")  # by its source
    pictures = [RawPicture(f"{i}.png", picture_bytes(i) if i else b"no picture") for i in range(40)]
    limits = Limits(held_out=0, minimum=8, corrupt_share=0.1)
    index = prepare(tmp_path, pictures, encoder, image_size=16, sources=(), limits=limits, left_out=left_out)
    assert (index.train, index.corrupt) == (39, 2)
    lines = (tmp_path / "left_out.txt").read_text().splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["lost.png", "0.png"]
    strict = Limits(held_out=0, minimum=8, corrupt_share=0.01)
    left_out = LeftOut()
    left_out.add("lost.png", "a link that leads out")
    expected = r"2 of 41 .*lost\.png \(a link that leads out\); 0\.png \(it is none"
    with pytest.raises(DataError, match=expected):
        prepare(tmp_path, pictures, encoder, image_size=16, sources=(), limits=strict, left_out=left_out)


def _peak_memory() -> int:
    """Bytes; since the last time that the kernel was told to forget the peak."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) * 1024


def test_memory_does_not_grow_with_the_number_of_large_pictures(tmp_path: Path, encoder: Encoder) -> None:
    file = io.BytesIO()
    Image.new("L", (2500, 2000), 90).save(file, "JPEG")

    def grown(count: int) -> int:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is held now
        before = _peak_memory()
        pictures = [RawPicture(str(i), file.getvalue()) for i in range(count)]
        prepare(tmp_path, pictures, encoder, image_size=16, sources=(), limits=Limits(minimum=1))
        return _peak_memory() - before

    grown(2)  # whatever the first time takes
    assert grown(24) < 200e6  # as they were decoded, they would take 480 MB
