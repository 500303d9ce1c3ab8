"""Pictures are seen as a viewer shows them, whatever their format does with them."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from imago_engine.training.data.decoding import UndecodableError, decode, decoded
from imago_engine.training.data.jpeg_scans import scans_of
from imago_engine.training.data.sources import RawPicture


def _file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _pixels(content: bytes) -> np.ndarray:
    return np.asarray(decoded(content))


def _first(content: bytes) -> list[int]:
    found: list[int] = _pixels(content)[0, 0].tolist()
    return found


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_camera_says(kind: str, orientation: int) -> None:
    corners = np.zeros((24, 40, 3), np.uint8)
    corners[:12, :20], corners[12:, :20], corners[:12, 20:] = (240, 0, 0), (0, 240, 0), (0, 0, 240)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = _file(
        Image.fromarray(corners), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})
    )
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    np.testing.assert_array_equal(_pixels(content), expected)


def test_metadata_that_cannot_be_read_leave_the_picture_as_it_lies() -> None:
    content = _file(Image.new("RGB", (8, 4), (9, 9, 9)), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12")
    assert _pixels(content).shape == (4, 8, 3)


RAMP = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)


@pytest.mark.parametrize(
    "content",
    [
        _file(Image.fromarray(RAMP)),
        _file(Image.fromarray(RAMP), "TIFF"),
        _file(Image.frombytes("I;16B", (32, 32), RAMP.astype(">u2").tobytes()), "TIFF"),
        b"P5 32 32 65535\n" + RAMP.astype(">u2").tobytes(),
    ],
    ids=["png", "tiff", "tiff big-endian", "pgm"],
)
def test_greys_of_16_bits_keep_their_brightness(content: bytes) -> None:
    assert np.abs(_pixels(content)[..., 1].astype(int) - RAMP / 257).max() <= 1


def test_a_dark_grey_of_16_bits_stays_dark_and_one_that_counts_from_white_is_turned_round() -> None:
    assert _pixels(_file(Image.fromarray(RAMP // 64))).max() == 4
    inverted = _pixels(_file(Image.fromarray(RAMP), "TIFF", tiffinfo={262: 0}))
    assert inverted[0, 0, 0] == 255
    assert inverted[-1, -1, 0] == 0


def test_integers_of_32_bits_are_seen_from_their_least_to_their_greatest_value() -> None:
    signed = np.linspace(-(2**31), 2**31 - 1, 256).astype(np.int32).reshape(16, 16)
    content = _file(Image.fromarray(signed), "TIFF")
    expected = np.arange(256).reshape(16, 16)
    assert np.abs(_pixels(content)[..., 0] - expected).max() <= 1
    # The same file, whose sample format (tag 339, one short) says that its numbers have no sign.
    tag = struct.pack("<HHIH", 339, 3, 1, 2)
    assert content.count(tag) == 1
    unsigned = content.replace(tag, struct.pack("<HHIH", 339, 3, 1, 1)).replace(
        signed.tobytes(), np.linspace(0, 2**32 - 1, 256).astype(np.uint32).tobytes()
    )
    assert np.abs(_pixels(unsigned)[..., 0] - expected).max() <= 1


@pytest.mark.parametrize(
    ("least", "greatest", "seen"),
    [
        (0, 1, (0, 255)),
        (0.2, 0.4, (51, 102)),
        (-1, 1, (0, 255)),
        (0, 4000, (0, 255)),
        (-3e38, 3e38, (0, 255)),
    ],
)
def test_float_greys_are_seen_whatever_their_range(
    least: float, greatest: float, seen: tuple[int, int]
) -> None:
    ramp = np.linspace(least, greatest, 256, dtype=np.float64).astype(np.float32).reshape(16, 16)
    pixels = _pixels(_file(Image.fromarray(ramp), "TIFF"))
    assert (pixels.min(), pixels.max()) == seen
    assert len(np.unique(pixels)) >= 50


def test_what_is_no_number_is_black_and_does_not_hide_the_rest() -> None:
    ramp = np.linspace(0, 9, 64, dtype=np.float32).reshape(8, 8).copy()
    ramp[0, 1], ramp[0, 2] = np.nan, np.inf
    pixels = _pixels(_file(Image.fromarray(ramp), "TIFF"))[..., 0]
    assert (pixels[0, 1], pixels[0, 2], pixels[-1, -1]) == (0, 255, 255)
    with pytest.raises(UndecodableError, match="finite"):
        decoded(_file(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"))


def _palette() -> Image.Image:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return image


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (_file(Image.new("RGBA", (4, 4), (0, 0, 0, 0))), [255, 255, 255]),
        (_file(Image.new("RGBA", (4, 4), (200, 0, 100, 51)), "WEBP", lossless=True), [244, 204, 224]),
        (_file(Image.new("RGBA", (4, 4), (200, 0, 100, 255))), [200, 0, 100]),
        (_file(Image.new("LA", (4, 4), (0, 0))), [255, 255, 255]),
        (_file(_palette()), [10, 20, 30]),
        (_file(_palette(), transparency=1), [255, 255, 255]),
        (_file(_palette(), "GIF", transparency=1), [255, 255, 255]),
        (_file(Image.new("L", (4, 4), 7), transparency=7), [255, 255, 255]),
        (_file(Image.new("RGB", (4, 4), (1, 2, 3)), transparency=(1, 2, 3)), [255, 255, 255]),
        (_file(Image.fromarray(np.full((4, 4), 300, np.uint16)), transparency=300), [255, 255, 255]),
        (_file(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"), [255, 0, 0]),
        (_file(Image.new("1", (8, 8), 1), "TIFF"), [255, 255, 255]),
    ],
    ids=[
        "clear", "mostly clear", "opaque", "grey and alpha", "palette", "palette with a clear entry", "gif",
        "one clear grey", "one clear colour", "one clear deep grey", "cmyk", "bits",
    ],
)  # fmt: skip
def test_transparency_is_over_white_and_every_mode_has_its_colours(
    content: bytes, expected: list[int]
) -> None:
    assert np.abs(np.subtract(_first(content), expected)).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_picture_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    assert _first(_file(frames[0], kind, save_all=True, append_images=frames[1:])) == [255, 255, 255]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(
    width: int, height: int, data: bytes, depth: int = 8, colours: int = 2, clear: bytes | None = None
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    transparency = b"" if clear is None else _chunk(b"tRNS", clear)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            transparency,
            _chunk(b"IDAT", data),
            _chunk(b"IEND", b""),
        ]
    )


@pytest.mark.parametrize(
    ("depth", "colours", "row", "clear", "seen"),
    [
        (1, 0, b"\x40", [0], [255, 255]),
        (2, 0, b"\x60", [1], [255, 170]),
        (2, 0, b"\x60", [2], [85, 255]),
        (4, 0, b"\x5a", [5], [255, 170]),
        (4, 0, b"\x15", [17], [255, 85]),  # the bits above the depth do not count
        (8, 0, b"\x05\x0a", [5], [255, 10]),
        (16, 0, b"\x50\x00\xa0\x00", [0x5000], [255, 159]),
        (8, 2, bytes([1, 2, 3, 9, 9, 9]), [1, 2, 3], [255, 9]),
        (16, 2, bytes([1, 7, 2, 7, 3, 7, 9, 7, 9, 7, 9, 7]), [0x107, 0x207, 0x307], [255, 9]),
        (16, 2, bytes([0, 7, 0, 7, 0, 7, 7, 0, 7, 0, 7, 0]), [7, 7, 7], [255, 7]),
    ],
)
def test_the_transparent_colour_of_a_png_is_matched_at_any_depth(
    depth: int, colours: int, row: bytes, clear: list[int], seen: list[int]
) -> None:
    content = _png(2, 1, zlib.compress(b"\0" + row), depth, colours, struct.pack(f">{len(clear)}H", *clear))
    assert _pixels(content)[0, :, 0].tolist() == seen


WHOLE = _file(Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)), "JPEG")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        WHOLE[: len(WHOLE) // 2],
        _png(30, 30, b"no zlib at all"),
        _png(30, 30, zlib.compress(bytes(9))),
        _png(0, 30, b""),
        _png(10_000, 9_000, zlib.compress(bytes(99))),
        _png(2**31 - 1, 2**31 - 1, b""),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(40),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        b"BM" + b"\xff" * 80,
    ],
)
def test_what_is_no_whole_picture_is_told_with_a_reason(content: bytes) -> None:
    with pytest.raises(UndecodableError, match=r".{3}"):
        decoded(content)
    assert decode(RawPicture("x.png", content)) is None


@pytest.mark.filterwarnings("ignore:Image size")  # as where nobody makes errors of warnings
@pytest.mark.parametrize("size", [(10_000, 9_000), (300, 300_000)])
def test_a_whole_picture_of_too_many_pixels_is_not_decoded(size: tuple[int, int]) -> None:
    width, height = size
    rows = zlib.compress(bytes((1 + -(-width // 8)) * height), 1)  # one bit a pixel
    with pytest.raises(UndecodableError, match=rf"{width} × {height} pixels are more than 89,"):
        decoded(_png(width, height, rows, depth=1, colours=0))


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), struct.error("short"), KeyError(3)])
def test_whatever_a_decoder_raises_is_that_pictures(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", broken)
    with pytest.raises(UndecodableError):
        decoded(_file(Image.new("RGB", (4, 4))))


def _repeated(jpeg: bytes, times: int) -> bytes:
    """A progressive JPEG whose last scan is there so many times more."""
    last, end = jpeg.rindex(b"\xff\xda"), jpeg.rindex(b"\xff\xd9")
    return jpeg[:end] + jpeg[last:end] * times + jpeg[end:]


def _of_size(jpeg: bytes, width: int, height: int) -> bytes:
    """The same that says that it is of another size."""
    frame = jpeg.index(b"\xff\xc2") + 5
    return jpeg[:frame] + struct.pack(">HH", height, width) + jpeg[frame + 4 :]


FLAT = _file(Image.new("L", (64, 64), 77), "JPEG", progressive=True)
PROGRESSIVE = _file(Image.effect_noise((64, 64), 60), "JPEG", progressive=True)


@pytest.mark.filterwarnings("ignore:Image size")  # as where nobody makes errors of warnings
@pytest.mark.parametrize(
    ("size", "times"), [((64, 64), 4100), ((65_496, 1360), 48), ((65_500, 2700), 24)], ids=str
)
def test_a_jpeg_that_goes_over_its_pixels_very_often_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], times: int
) -> None:
    content = _of_size(_repeated(FLAT, times), *size)
    assert len(content) < 700_000
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load_prepare", pytest.fail)
    with pytest.raises(UndecodableError, match=rf"scans of {size[0]} × {size[1]} pixels are more than"):
        decoded(content)


def test_a_jpeg_with_more_scans_than_encoders_write_is_decoded_and_the_same_picture() -> None:
    np.testing.assert_array_equal(_pixels(_repeated(FLAT, 1000)), _pixels(FLAT))


@pytest.mark.parametrize("colours", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_scans_of_thumbnails_and_bytes_like_scans_in_metadata_are_no_scans(
    colours: str, progressive: bool
) -> None:
    plain = _file(Image.effect_noise((64, 64), 60).convert(colours), "JPEG", progressive=progressive)
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 60_000) + b"\xff\xda" * 30_000
    thumbnail = b"\xff\xe5" + struct.pack(">H", 2 + len(PROGRESSIVE)) + PROGRESSIVE
    content = plain[:2] + comment + thumbnail + plain[2:] + b"\xff\xda" * 5000
    encoded = {(False, "L"): 1, (False, "RGB"): 1, (True, "L"): 6, (True, "RGB"): 10}
    assert scans_of(content) == scans_of(plain) == encoded[progressive, colours]
    np.testing.assert_array_equal(_pixels(content), _pixels(plain))


def test_only_jpegs_have_scans() -> None:
    assert [scans_of(content) for content in (b"", b"\xff\xd8", _file(Image.new("L", (4, 4))))] == [0, 0, 0]
    cut = [scans_of(PROGRESSIVE[:length]) for length in range(len(PROGRESSIVE) + 1)]
    assert cut == sorted(cut)
    assert cut[-1] == 6


def test_a_huge_jpeg_is_decoded_at_a_part_of_its_size() -> None:
    image = decoded(_file(Image.new("L", (8000, 4000), 130), "JPEG"))
    assert image.size == (4000, 2000)
    ordinary = _file(Image.new("L", (5600, 4000), 130), "JPEG")
    assert decoded(ordinary).size == (5600, 4000)
