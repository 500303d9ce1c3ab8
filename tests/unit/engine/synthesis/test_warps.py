"""Lucid's transforms: their ranges, and that they leave nothing out of the picture but what they say."""

import pytest
import torch

from imago_engine.synthesis.warps import drawn_warps, warped
from imago_engine.techniques.canvas import CanvasParameters


def draws(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_the_warp_that_changes_nothing_changes_nothing() -> None:
    pictures = torch.rand(2, 3, 16, 16)
    still = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).expand(2, 2, 3)
    torch.testing.assert_close(warped(pictures, still), pictures)


def test_parameters_of_nothing_give_the_warp_that_changes_nothing() -> None:
    still = CanvasParameters(steps=3, padding=0, jitter=0, scale=0.0, rotation=0.0)
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).expand(1, 3, 2, 3)
    torch.testing.assert_close(drawn_warps(still, 16, draws(4)), expected)


def test_beyond_the_edges_lies_grey() -> None:
    far = torch.tensor([[[1.0, 0.0, 4.0], [0.0, 1.0, 0.0]]])
    torch.testing.assert_close(warped(torch.rand(1, 3, 8, 8), far), torch.full((1, 3, 8, 8), 0.5))


def test_warps_stay_within_lucids_ranges_and_vary() -> None:
    (warps,) = drawn_warps(CanvasParameters(steps=400), 128, draws(5))
    zooms = warps[:, 0, :2].norm(dim=1)
    angles = torch.rad2deg(torch.atan2(warps[:, 1, 0], warps[:, 0, 0]))
    window = (128 + 24 - 12) / 128
    assert zooms.min() == pytest.approx(window / 1.1, rel=1e-3)
    assert zooms.max() == pytest.approx(window / 0.9, rel=1e-3)
    assert angles.abs().max() == pytest.approx(10, rel=1e-3)
    assert 0.15 < (angles.abs() < 0.01).float().mean() < 0.32
    assert (warps[:, :, 2].abs() * 64).max() == 6  # half of 8 and of 4 pixels


def test_the_largest_jitter_leaves_something_of_the_smallest_picture() -> None:
    (warps,) = drawn_warps(CanvasParameters(steps=50, padding=0, jitter=64), 8, draws(1))
    assert (warps[:, 0, :2].norm(dim=1) > 0.2).all()


@pytest.mark.parametrize(("size", "padding", "jitter"), [(8, 0, 64), (16, 12, 64), (24, 0, 16), (32, 0, 22)])
def test_what_is_seen_lies_within_the_padded_picture_however_much_is_cut_off(
    size: int, padding: int, jitter: int
) -> None:
    still = CanvasParameters(steps=300, padding=padding, jitter=jitter, scale=0.0, rotation=0.0)
    (warps,) = drawn_warps(still, size, draws(1))
    window, shifts = warps[:, 0, 0], warps[:, :, 2].abs().amax(1)
    reach = (window + shifts).max().item()
    assert reach <= (size + 2 * padding) / size + 1e-6
    assert reach == pytest.approx((size + 2 * padding) / size, rel=0.1), "and goes to its edges"


def test_a_picture_is_shown_that_is_smaller_than_what_jitter_cuts_off() -> None:
    recipe = CanvasParameters(steps=50, padding=0, jitter=64, scale=0.0, rotation=0.0)
    (warps,) = drawn_warps(recipe, 8, draws(1))
    seen = warped(torch.ones(50, 3, 8, 8), warps)
    assert (seen[:, :, 4, 4] == 1).all()


def test_items_have_warps_of_their_own_whatever_their_company() -> None:
    recipe = CanvasParameters(steps=5)
    alone, among = drawn_warps(recipe, 32, draws(7)), drawn_warps(recipe, 32, draws(3, 7))
    assert torch.equal(alone[0], among[1])
    assert not torch.equal(among[0], among[1])
