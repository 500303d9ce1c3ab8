import dataclasses
import io

import numpy as np
from PIL import Image
from safetensors.numpy import load as load_safetensors

from imago_engine.artifacts import Artifact, ArtifactKind
from imago_engine.synthesis.encoding import encode
from imago_engine.synthesis.pictures import Picture
from imago_engine.synthesis.receptive_fields.receptive_field import Box


def picture(crop_box: Box | None = None) -> Picture:
    rng = np.random.default_rng(0)
    return Picture(
        image=rng.integers(0, 256, (32, 48, 3), dtype=np.uint8),
        code=rng.normal(size=(4, 2, 2)).astype(np.float32),
        activation=1.5,
        trace=np.array([1.0, np.nan, 70_000.0], np.float32),
        status="done",
        predictions=None,
        crop_box=crop_box,
        skipped_steps=1,
    )


def encoded(original: Picture) -> dict[str, Artifact]:
    return {artifact.kind: artifact for artifact in encode(original)}


def test_image_code_and_trace_come_back_as_they_were() -> None:
    original = picture()
    found = encoded(original)
    assert found.keys() == {ArtifactKind.IMAGE, ArtifactKind.CODE, ArtifactKind.TRACE}
    image = found["image"]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image.bytes))), original.image)
    assert (image.media_type, image.width, image.height) == ("image/png", 48, 32)
    np.testing.assert_array_equal(load_safetensors(found["code"].bytes)["code"], original.code)
    trace = np.load(io.BytesIO(found["trace"].bytes), allow_pickle=False)
    np.testing.assert_array_equal(trace, original.trace)


def test_the_crop_shows_what_the_unit_sees() -> None:
    original = picture(Box(left=3, top=5, right=13, bottom=30))
    crop = encoded(original)["crop"]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(crop.bytes))), original.image[5:30, 3:13])
    assert (crop.width, crop.height) == (10, 25)


def test_the_same_picture_gives_the_same_bytes() -> None:
    assert encode(picture()) == encode(picture())


def test_a_picture_without_a_generator_has_no_code() -> None:
    found = encoded(dataclasses.replace(picture(), code=None))
    assert found.keys() == {ArtifactKind.IMAGE, ArtifactKind.TRACE}
