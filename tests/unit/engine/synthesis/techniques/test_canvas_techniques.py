"""Techniques without a generator: a picture that climbs itself."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imago_engine.synthesis.ascent import PATIENCE, Item, synthesize
from imago_engine.synthesis.canvas import COLOURS
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.pictures import Picture
from imago_engine.techniques import RecipeError, technique_named
from imago_engine.techniques.dgn_am import DgnAm

SIZE = 64
WITHOUT_GENERATOR = ("fourier", "pixel")
STANDING = {"steps": 1, "learning_rate": 1e-9}
"""What is kept is the first picture."""
Wrap = Callable[..., Network]


def made(network: Network, technique: str, layer: str, items: Sequence[Item], **values: Any) -> list[Picture]:
    parameters = technique_named(technique).parameters({"input_size": SIZE, **values})
    return synthesize(network, None, layer, items, parameters)


def first_pictures(network: Network, technique: str, seeds: Sequence[int], **values: Any) -> NDArray[Any]:
    items = [Item(unit=0, seed=seed) for seed in seeds]
    pictures = made(network, technique, "blocks.0.0", items, **STANDING, **values)
    return np.stack([picture.image for picture in pictures]) / 255


@pytest.mark.parametrize("technique", WITHOUT_GENERATOR)
def test_a_picture_starts_as_faint_noise_around_grey(lite0: Network, technique: str) -> None:
    pictures = first_pictures(lite0, technique, (0, 1))
    assert pictures.shape == (2, SIZE, SIZE, 3)
    assert np.abs(pictures - 0.5).max() < 0.2
    assert not np.array_equal(pictures[0], pictures[1])


def test_fourier_noise_is_smooth_where_pixel_noise_is_not(lite0: Network) -> None:
    def roughness(technique: str) -> float:
        (picture,) = first_pictures(lite0, technique, (0,), deviation=0.3)
        return float(np.diff(picture, axis=1).std() / picture.std())

    assert roughness("pixel") == pytest.approx(2**0.5, rel=0.05)
    assert roughness("fourier") < 0.6 * roughness("pixel")


@pytest.mark.parametrize("size", [63, 64])
def test_a_picture_of_an_odd_size_is_whole_too(lite0: Network, size: int) -> None:
    assert first_pictures(lite0, "fourier", (0,), input_size=size).shape == (1, size, size, 3)


def test_the_first_colour_is_brightness() -> None:
    assert (COLOURS[:, 0] > 0).all()
    assert COLOURS[:, 0].amax() - COLOURS[:, 0].amin() < 0.05
    assert COLOURS[:, 1:].sum(0).abs().max() < 0.2


@pytest.mark.parametrize("technique", WITHOUT_GENERATOR)
def test_climbing_raises_the_activation_of_what_is_stored(lite0: Network, technique: str) -> None:
    items = [Item(unit=301, seed=0), Item(unit=985, seed=0)]
    few = made(lite0, technique, "output", items, steps=1)
    many = made(lite0, technique, "output", items, steps=12)
    for before, after in zip(few, many, strict=True):
        assert after.activation > before.activation + 2
        assert after.status == "done"
        assert after.trace.shape == (12,)
        assert after.code is None
        assert after.predictions is not None


def test_a_picture_is_the_same_alone_or_among_others(lite0: Network) -> None:
    wanted, others = Item(unit=7, seed=3), [Item(unit=90 + n, seed=n) for n in range(5)]
    (alone,) = made(lite0, "fourier", "blocks.4.2", [wanted], steps=6)
    *_, among = made(lite0, "fourier", "blocks.4.2", [*others, wanted], steps=6)
    assert np.array_equal(alone.image, among.image)
    assert np.array_equal(alone.trace, among.trace)


def test_a_hidden_unit_is_cropped_to_what_it_sees(lite0: Network) -> None:
    (picture,) = made(lite0, "fourier", "blocks.0.0", [Item(0, 0)], **STANDING)
    assert picture.crop_box is not None
    left, top, right, bottom = picture.crop_box
    assert right - left == bottom - top == 7


def test_what_no_gradient_reaches_is_unreachable_and_its_neighbours_are_not(wrap: Wrap) -> None:
    torch.manual_seed(1)
    linear = nn.Linear(3 * 16 * 16, 3)
    linear.weight.data[1] = 0
    network = wrap(nn.Sequential(nn.Flatten(), linear))
    steps = PATIENCE + 3
    pictures = made(network, "pixel", "1", [Item(n, 0) for n in range(3)], steps=steps, input_size=16)
    assert [picture.status for picture in pictures] == ["done", "unreachable", "done"]
    assert [len(picture.trace) for picture in pictures] == [steps, PATIENCE, steps]


class Cut(nn.Module):
    """Units that a function of the module's own code cuts off below 0 and above 1.

    They see by how much 7 columns are brighter than 7 beside them. Unit 0 is on in a grey picture, 1 where
    there is more difference than in a grey start, 2 at a few places of a start of full contrast. 3 is off in
    every picture, 4 is 1 in a grey one.
    """

    def __init__(self, cut: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.cut = cut
        self.differences = nn.Conv2d(3, 7, 14)
        weight = torch.ones(3, 14, 14) / 294
        weight[:, :, 7:] *= -1
        self.differences.weight.data[:] = weight
        self.differences.weight.data[3] = 0
        self.differences.bias = nn.Parameter(torch.tensor([0.5, -0.01, -0.04, -1.0, 1.02, -0.3, -2.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.cut(self.differences(x))


def clamped(x: Tensor) -> Tensor:
    return x.clamp(0, 1)


def cut_by_hand(x: Tensor) -> Tensor:
    """The same by functions that are no activation functions: what switches a unit off cannot be passed."""
    return torch.where((x > 0) & (x < 1), x, (x >= 1).to(x.dtype))


@pytest.fixture
def cut(wrap: Wrap) -> Network:
    return network_of(wrap, clamped)


@pytest.fixture
def hand_cut(wrap: Wrap) -> Network:
    return network_of(wrap, cut_by_hand)


def network_of(wrap: Wrap, cut: Callable[[Tensor], Tensor]) -> Network:
    torch.manual_seed(3)
    return wrap(nn.Sequential(Cut(cut), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 3)))


def made_of_cut(cut: Network, technique: str, *units: int, seed: int = 0, steps: int = 40) -> list[Picture]:
    items = [Item(unit, seed) for unit in units]
    return made(cut, technique, "0", items, steps=steps, input_size=32, padding=0)


@pytest.mark.parametrize("technique", WITHOUT_GENERATOR)
def test_a_unit_that_is_off_in_a_grey_start_begins_where_it_is_on(hand_cut: Network, technique: str) -> None:
    on, off, dead = made_of_cut(hand_cut, technique, 0, 1, 3)
    assert [on.status, off.status, dead.status] == ["done", "done", "unreachable"]
    assert off.activation > 0.1
    assert off.trace[-8:].mean() > off.trace[0]
    assert (dead.activation, len(dead.trace)) == (0, PATIENCE)
    assert dead.image.std() < 20, "what shows no preference stays grey"


def test_the_other_starts_of_one_unit_change_no_neighbour(cut: Network) -> None:
    (alone,) = made_of_cut(cut, "fourier", 0)
    for other in (made_of_cut(cut, "fourier", 0, 1)[0], made_of_cut(cut, "fourier", 3, 0)[1]):
        assert np.array_equal(alone.image, other.image)
        assert np.array_equal(alone.trace, other.trace)


@pytest.mark.parametrize("unit", [2, 5])
def test_a_unit_that_is_off_has_the_same_picture_among_units_that_nothing_reaches(
    cut: Network, unit: int
) -> None:
    (alone,) = made_of_cut(cut, "pixel", unit)
    among = made_of_cut(cut, "pixel", 3, unit, 6)[1]
    assert np.array_equal(alone.image, among.image)
    assert np.array_equal(alone.trace, among.trace)


@pytest.mark.parametrize("technique", WITHOUT_GENERATOR)
def test_a_unit_that_is_off_begins_grey_and_is_reached_through_what_switches_it_off(
    cut: Network, hand_cut: Network, technique: str
) -> None:
    (little,) = made_of_cut(cut, technique, 1, steps=1)
    assert little.image.std() < 20
    (picture,) = made_of_cut(cut, technique, 5, steps=160)
    assert (picture.status, picture.trace[0]) == ("done", 0)
    assert picture.activation > 0.1
    (unknown,) = made_of_cut(hand_cut, technique, 5)
    assert unknown.status == "unreachable", "no start shows the unit anywhere"


def test_a_unit_that_no_picture_switches_on_is_unreachable_whatever_its_gradient_says(cut: Network) -> None:
    (picture,) = made_of_cut(cut, "fourier", 6)
    assert (picture.status, picture.activation) == ("unreachable", 0)


def test_a_unit_that_is_off_in_every_start_climbs_its_channel_at_other_places(hand_cut: Network) -> None:
    pictures = [made_of_cut(hand_cut, "pixel", 2, seed=seed)[0] for seed in range(4)]
    assert all(picture.status == "done" and picture.activation > 0.1 for picture in pictures)
    assert any(picture.trace[0] == 0 for picture in pictures)


def test_a_unit_that_is_as_active_as_can_be_from_the_start_is_reached(cut: Network) -> None:
    (picture,) = made_of_cut(cut, "fourier", 4)
    assert (picture.status, picture.activation) == ("done", 1)


def test_the_steps_are_adams(wrap: Wrap) -> None:
    torch.manual_seed(2)
    linear = nn.Linear(3 * 16 * 16, 2).requires_grad_(False)
    still: dict[str, Any] = {"padding": 0, "jitter": 0, "scale": 0.0, "rotation": 0.0, "input_size": 16}
    network = wrap(nn.Sequential(nn.Flatten(), linear))
    (picture,) = made(network, "pixel", "1", [Item(1, seed=4)], steps=6, learning_rate=0.2, **still)

    field = 0.01 * torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(4))
    field.requires_grad_()
    adam = torch.optim.Adam([field], lr=0.2, maximize=True)
    trace = []
    for _ in range(6):
        colours = torch.einsum("rc,chw->rhw", COLOURS, field).sigmoid()
        activation = linear(colours.flatten())[1]
        (field.grad,) = torch.autograd.grad(activation, field)
        adam.step()
        trace.append(activation.item())
    last = torch.einsum("rc,chw->hwr", COLOURS, field.detach()).sigmoid()
    np.testing.assert_allclose(picture.trace, trace, rtol=1e-3)
    assert np.abs(picture.image / 255 - last.numpy()).max() <= 0.5 / 255 + 1e-4


def test_a_technique_that_needs_a_generator_says_so_without_one(lite0: Network) -> None:
    with pytest.raises(RecipeError, match="dgn-am needs a generator"):
        synthesize(lite0, None, "output", [Item(0, 0)], DgnAm())
