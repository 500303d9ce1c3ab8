"""Bringing pictures to the network's input size."""

import pytest
import torch

from imago_engine.synthesis.fitting import Fit, shifted
from imago_engine.synthesis.receptive_fields.receptive_field import Box


@pytest.mark.parametrize(("input_size", "offset"), [(227, 14), (224, 16), (256, 0)])
def test_the_published_crops_start_where_they_should(input_size: int, offset: int) -> None:
    image = torch.arange(256 * 256, dtype=torch.float32).view(1, 1, 256, 256)
    cut = Fit.plan("auto", 256, input_size)(image)
    assert cut.shape == (1, 1, input_size, input_size)
    assert cut[0, 0, 0, 0] == image[0, 0, offset, offset]


def test_a_picture_smaller_than_the_input_is_enlarged() -> None:
    fit = Fit.plan("auto", 64, 112)
    assert fit(torch.rand(2, 3, 64, 64)).shape == (2, 3, 112, 112)
    assert torch.allclose(fit(torch.full((1, 3, 64, 64), 0.3)), torch.tensor(0.3))


def test_shrinking_uses_every_pixel() -> None:
    checks = (torch.arange(32) % 2).float().expand(1, 3, 32, 32)
    shrunk = Fit.plan("resize", 32, 8)(checks)
    torch.testing.assert_close(shrunk, torch.full_like(shrunk, 0.5), atol=0.05, rtol=0)


def test_boxes_go_back_to_where_the_pixels_came_from() -> None:
    assert Fit.plan("crop", 256, 224).in_picture(Box(0, 10, 30, 40)) == Box(16, 26, 46, 56)
    assert Fit.plan("resize", 64, 128).in_picture(Box(1, 10, 31, 40)) == Box(0, 5, 16, 20)


def test_each_picture_is_shifted_by_its_own_pixels_with_edges_repeated() -> None:
    x = torch.arange(16, dtype=torch.float32).view(1, 1, 4, 4).repeat(3, 1, 1, 1)
    moved = shifted(x, torch.tensor([[0, 0], [1, 0], [0, -2]]))
    assert torch.equal(moved[0], x[0])
    assert torch.equal(moved[1, 0, 1:], x[1, 0, :-1])
    assert torch.equal(moved[1, 0, 0], x[1, 0, 0])
    assert torch.equal(moved[2, 0, :, :2], x[2, 0, :, 2:])
    assert torch.equal(moved[2, 0, :, 3], x[2, 0, :, 3])
