import pytest
import torch

from benchmarks.quality.baselines import PARAMETRISATIONS, Canvas, Parametrisation, climb, drawn_warp, warped
from imago_engine.synthesis.ascent import Item
from imago_engine.synthesis.networks.load import Network, load_network

SIZE = 64


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network("efficientnet_lite0.imagenet")


def draws(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_a_canvas_starts_as_faint_noise_around_grey(kind: Parametrisation) -> None:
    pictures = Canvas(kind, SIZE, draws(0, 1)).pictures()
    assert pictures.shape == (2, 3, SIZE, SIZE)
    assert (pictures - 0.5).abs().max() < 0.2
    assert not torch.equal(pictures[0], pictures[1])


def test_fourier_noise_is_smooth_where_pixel_noise_is_not() -> None:
    def roughness(kind: Parametrisation) -> float:
        picture = Canvas(kind, SIZE, draws(0)).pictures().detach()
        return float(picture.diff(dim=-1).std() / picture.std())

    assert roughness("pixel") == pytest.approx(2**0.5, rel=0.05)
    assert roughness("fourier") < 0.6 * roughness("pixel")


@pytest.mark.parametrize("size", [63, 64])
def test_an_odd_canvas_is_whole_too(size: int) -> None:
    assert Canvas("fourier", size, draws(0)).pictures().shape == (1, 3, size, size)


def test_the_first_colour_is_brightness() -> None:
    canvas = Canvas("pixel", 8, draws(0))
    with torch.no_grad():
        canvas.values.zero_()
        canvas.values[:, 0] = 1.0
    picture = canvas.pictures()
    assert picture.min() > 0.6
    assert (picture.amax(1) - picture.amin(1)).max() < 0.01


def test_the_warp_that_changes_nothing_changes_nothing() -> None:
    pictures = torch.rand(2, 3, 16, 16)
    still = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).expand(2, 2, 3)
    torch.testing.assert_close(warped(pictures, still), pictures)


def test_beyond_the_edges_lies_grey() -> None:
    far = torch.tensor([[[1.0, 0.0, 4.0], [0.0, 1.0, 0.0]]])
    torch.testing.assert_close(warped(torch.rand(1, 3, 8, 8), far), torch.full((1, 3, 8, 8), 0.5))


def test_warps_stay_within_lucids_ranges_and_vary() -> None:
    draw = torch.Generator().manual_seed(5)
    warps = torch.stack([drawn_warp(draw, 128) for _ in range(400)])
    zooms = warps[:, 0, :2].norm(dim=1)
    angles = torch.rad2deg(torch.atan2(warps[:, 1, 0], warps[:, 0, 0]))
    window = (128 + 24 - 12) / 128
    assert zooms.min() == pytest.approx(window / 1.1, rel=1e-3)
    assert zooms.max() == pytest.approx(window / 0.9, rel=1e-3)
    assert angles.abs().max() == pytest.approx(10, rel=1e-3)
    assert 0.15 < (angles.abs() < 0.01).float().mean() < 0.32
    assert (warps[:, :, 2].abs() * 64).max() == 6  # half of 8 and of 4 pixels


@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_climbing_raises_the_activation_of_what_is_stored(network: Network, kind: Parametrisation) -> None:
    items = [Item(unit=301, seed=0), Item(unit=985, seed=0)]
    images, few = climb(network, kind, "output", items, steps=1, input_size=SIZE)
    assert images.dtype == torch.uint8
    assert images.shape == (2, 3, SIZE, SIZE)
    _, many = climb(network, kind, "output", items, steps=12, input_size=SIZE)
    assert (many > few + 2).all()


def test_a_picture_is_the_same_alone_or_among_others(network: Network) -> None:
    wanted, other = Item(unit=7, seed=3), Item(unit=90, seed=4)
    alone, _ = climb(network, "fourier", "blocks.4.2", [wanted], steps=4, input_size=SIZE)
    among, _ = climb(network, "fourier", "blocks.4.2", [other, wanted], steps=4, input_size=SIZE)
    assert (alone[0].int() - among[1].int()).abs().max() <= 1
