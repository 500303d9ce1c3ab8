"""Grids of layers: which units, what counts as plain, and that nothing is made twice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.quality.layers import command
from benchmarks.quality.layers.pictures import LayerPictures, Wish, evenly_spread
from benchmarks.quality.layers.sheets import COLUMNS, SMALL, caption, montage, sheet
from benchmarks.quality.lists import layers
from imago_engine.networks import LayerInfo
from imago_engine.notebook.functions import load_generator
from imago_engine.synthesis.inspection.layers import inspect
from imago_engine.synthesis.networks.load import Network, Preprocessing
from tests.small_world import write_generator

SIDE = 8


def pictures(*images: np.ndarray, seen: int = SIDE, unreachable: bool = False) -> LayerPictures:
    """Pictures of which units see the upper left `seen` pixels."""
    count = len(images)
    return LayerPictures(
        units=np.arange(count),
        images=np.stack(images).astype(np.uint8),
        boxes=np.array([[0, 0, seen, seen]] * count),
        activations=np.full(count, 1.5),
        unreachable=np.full(count, unreachable),
        technique=np.array("fourier"),
        seconds=np.array(1.0),
    )


def one_colour() -> np.ndarray:
    return np.full((SIDE, SIDE, 3), 127)


def with_a_spot() -> np.ndarray:
    image = one_colour()
    image[0, 0] = 255
    return image


def test_the_listed_layers_are_those_of_the_network() -> None:
    assert len(layers()) == len(set(layers())) == 19


@pytest.mark.parametrize(
    ("count", "wanted", "expected"), [(3, 16, [0, 1, 2]), (32, 2, [0, 31]), (1000, 3, [0, 500, 999])]
)
def test_units_are_spread_from_the_first_to_the_last(count: int, wanted: int, expected: list[int]) -> None:
    assert evenly_spread(count, wanted) == expected


def test_a_picture_is_plain_where_what_the_unit_sees_of_it_is_of_one_colour() -> None:
    assert pictures(one_colour()).is_plain(0)
    assert pictures(one_colour() * [2, 1, 0]).is_plain(0)
    assert pictures(with_a_spot()).is_plain(0)
    assert not pictures(with_a_spot(), seen=2).is_plain(0)


def test_plain_pictures_are_named_unless_they_say_that_they_are_unreachable() -> None:
    layer = LayerInfo("conv", "conv", 4, (14, 14), 3, 1)
    assert "1 plain (units 0)" in command.line("conv", layer, pictures(one_colour()))
    said = command.line("conv", layer, pictures(one_colour(), unreachable=True))
    assert "0 plain" in said
    assert "1 unreachable" in said
    assert caption(pictures(one_colour()), 0).endswith("PLAIN")
    assert caption(pictures(one_colour(), unreachable=True), 0).endswith("unreachable")


def test_a_sheet_shows_below_the_pictures_what_their_units_see() -> None:
    whole, part = sheet(pictures(one_colour())), sheet(pictures(one_colour(), seen=2))
    assert part.height > whole.height
    assert part.width == whole.width


def test_a_montage_has_a_row_a_layer() -> None:
    one = montage({"a": pictures(one_colour())})
    two = montage({"a": pictures(one_colour()), "b": pictures(*[one_colour()] * (COLUMNS + 1))})
    assert two.height == 2 * one.height
    assert two.width - one.width == COLUMNS * (SMALL + 2)


def test_pictures_of_a_layer_are_made_once_and_by_the_technique_that_suits_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Network.of(
        nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Flatten(), nn.Linear(4 * 15 * 15, 2)),
        preprocessing=Preprocessing(32, (0.5,) * 3, (0.25,) * 3),
    )
    file = write_generator(tmp_path)
    wish = Wish(network, load_generator(file), "0" * 64, technique="auto", units=3, seed=0)
    steps: list[int] = []
    first, *_, last = inspect(network)
    made = [wish.pictures(layer, tmp_path, lambda done, total: steps.append(done)) for layer in (first, last)]
    assert [str(one.technique) for one in made] == ["fourier", "dgn-am"]
    assert not made[0].all_is_seen
    assert made[1].all_is_seen
    taken = len(steps)
    again = wish.pictures(first, tmp_path, lambda done, total: steps.append(done))
    assert len(steps) == taken
    assert (again.images == made[0].images).all()
