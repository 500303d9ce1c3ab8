"""What is no number is not passed off as a picture, nor as what a network says of one."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.second_climbs.better import RECENT
from imago_engine.techniques.dgn_am import DgnAm
from tests.unit.engine.synthesis.conftest import Canvas, info

Wrap = Callable[..., Network]
FAR = DgnAm(steps=4, learning_rate=1000.0, momentum=0.9, decay=1.0, bounds="none", start="half-normal")
LONGEST = 100.0
"""Of codes that the generator makes a picture of."""


class Overdriven(Canvas):
    """Gives no numbers for codes that are too long."""

    def forward(self, code: Tensor) -> Tensor:
        too_long = code.flatten(1).norm(dim=1) > LONGEST
        return torch.where(too_long[:, None, None, None], torch.nan, super().forward(code))


def overdriven() -> Generator:
    shape = (3, 16, 16)
    still, spread = torch.zeros(shape), torch.full(shape, 0.25)
    return Generator(info("canvas", shape, 16), Overdriven(), still, spread, torch.full(shape, -1.0))


class Classifier(nn.Module):
    """Its logits are no numbers of a picture that is brighter than any usual one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.map = nn.Conv2d(3, 4, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Conv2d(4, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(self.map(x))
        dazzled = x.mean((1, 2, 3), keepdim=True) > 0.9
        logits: Tensor = self.head(torch.where(dazzled, torch.nan, pooled)).flatten(1)
        return logits


def test_what_a_generator_gave_no_picture_of_has_no_number_for_its_activation(wrap: Wrap) -> None:
    (picture,) = synthesize(wrap(Classifier()), overdriven(), "map", [Item(1, 0)], FAR)
    assert math.isnan(picture.activation)
    assert picture.score is None
    assert picture.predictions is None


def test_a_longer_climb_goes_back_to_where_there_was_a_picture(wrap: Wrap) -> None:
    recipe = FAR.changed(steps=3 * RECENT)
    (picture,) = synthesize(wrap(Classifier()), overdriven(), "map", [Item(1, 0)], recipe)
    assert math.isfinite(picture.activation)
    assert picture.code is not None
    assert np.linalg.norm(picture.code) <= LONGEST
    assert picture.image.std() > 0
    assert picture.predictions is not None


def test_what_is_measured_is_no_number_where_there_is_no_picture(wrap: Wrap) -> None:
    near = FAR.changed(learning_rate=0.1)
    shown, none = (
        synthesize(wrap(Classifier()), overdriven(), "map", [Item(1, 0)], recipe)[0] for recipe in (near, FAR)
    )
    assert math.isfinite(shown.activation)
    assert shown.score is not None
    assert math.isnan(none.activation)


def test_a_hidden_unit_keeps_its_picture_where_the_logits_are_no_numbers(
    wrap: Wrap, canvas: Generator
) -> None:
    module = Classifier()
    nn.init.constant_(module.map.weight, 0.1)
    network, recipe = wrap(module), FAR.changed(learning_rate=1.0, steps=30)
    unit, away = Item(1, 0), FAR.changed(steps=1, learning_rate=1e-6)
    (bright,) = synthesize(network, canvas, "pool", [unit], recipe)
    assert bright.status == "done"
    assert math.isfinite(bright.activation)
    assert bright.predictions is None
    assert synthesize(network, canvas, "pool", [unit], away)[0].predictions is not None
