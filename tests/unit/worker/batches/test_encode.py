import io

import numpy as np
from PIL import Image
from safetensors.numpy import load as load_safetensors

from imago_engine.synthesis.ascent import Picture
from imago_engine.synthesis.receptive_fields.receptive_field import Box
from worker.batches.encode import encode


def picture(crop_box: Box | None = None) -> Picture:
    rng = np.random.default_rng(0)
    return Picture(
        image=rng.integers(0, 256, (32, 32, 3), dtype=np.uint8),
        code=rng.normal(size=(4, 2, 2)).astype(np.float32),
        activation=1.5,
        trace=np.array([1.0, np.nan, 70_000.0], np.float32),
        status="done",
        predictions=None,
        crop_box=crop_box,
        skipped_steps=1,
    )


def test_image_code_and_trace_come_back_as_they_were() -> None:
    original = picture()
    encoded = encode(original)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encoded.image))), original.image)
    assert encoded.code is not None
    np.testing.assert_array_equal(load_safetensors(encoded.code)["code"], original.code)
    np.testing.assert_array_equal(np.load(io.BytesIO(encoded.trace), allow_pickle=False), original.trace)
    assert encoded.crop is None


def test_the_crop_shows_what_the_unit_sees() -> None:
    original = picture(Box(left=3, top=5, right=13, bottom=30))
    crop = encode(original).crop
    assert crop is not None
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(crop))), original.image[5:30, 3:13])


def test_the_same_picture_gives_the_same_bytes() -> None:
    assert encode(picture()) == encode(picture())
