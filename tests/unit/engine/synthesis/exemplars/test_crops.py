"""What is cut out of a picture is what the unit saw of it."""

import io

import numpy as np
import pytest
from PIL import Image

from imago_engine.synthesis.exemplars.crops import CROP_SIDE, crop, encoded, field_box
from imago_engine.synthesis.inspection.anatomy import TracedLayer
from imago_engine.synthesis.networks.layouts import Layout
from imago_engine.synthesis.receptive_fields.receptive_field import Box, Extent, ReceptiveField


def layer(field: ReceptiveField | None) -> TracedLayer:
    return TracedLayer("conv", "conv", (4, 8, 8), field, Layout.MAP)


def test_a_place_is_counted_row_by_row() -> None:
    field = ReceptiveField(Extent(0, 4, 6), Extent(0, 4, 6))
    assert field_box(layer(field), 8 + 3, 32) == Box(12, 4, 18, 10)


@pytest.mark.parametrize(
    "field",
    [
        None,
        ReceptiveField(Extent(-100, 4, 300), Extent(-100, 4, 300)),
        ReceptiveField(Extent(-9, 1, 1), Extent(0, 4, 6)),
    ],
    ids=["unknown", "all of it", "padding only"],
)
def test_where_no_part_can_be_told_it_is_the_whole_picture(field: ReceptiveField | None) -> None:
    assert field_box(layer(field), 0, 32) is None


def test_the_part_is_cut_from_the_central_square_of_a_picture_of_any_shape() -> None:
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[16:32, 32 + 32 : 32 + 48] = 255  # of the square of 64 that begins at column 32
    found = np.asarray(crop(Image.fromarray(pixels), Box(8, 4, 12, 8), 16))
    assert found.shape == (16, 16, 3)
    assert found.min() == 255


def test_a_crop_has_a_longest_side_and_is_never_enlarged() -> None:
    image = Image.new("RGB", (1000, 700))
    assert crop(image, None, 224).size == (CROP_SIDE, CROP_SIDE)
    assert crop(image, Box(0, 0, 224, 112), 224).size == (CROP_SIDE, CROP_SIDE // 2)
    assert crop(image, Box(0, 0, 8, 8), 224).size == (25, 25)


def test_the_same_crop_is_the_same_bytes() -> None:
    draw = np.random.default_rng(0)
    image = Image.fromarray(draw.integers(0, 255, (96, 96, 3), np.uint8))
    assert encoded(image) == encoded(image.copy())
    with Image.open(io.BytesIO(encoded(image))) as read:
        assert (read.format, read.size) == ("WEBP", (96, 96))


def test_a_crop_of_few_pixels_keeps_the_colour_of_each() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (11, 9, 3), np.uint8))
    with Image.open(io.BytesIO(encoded(image))) as read:
        assert (np.asarray(read.convert("RGB")) == np.asarray(image)).all()
