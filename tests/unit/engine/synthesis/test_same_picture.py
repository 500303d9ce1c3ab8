"""What no picture depends on: who else is computed with it, and whether functions work in place."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import Network
from imago_engine.techniques.dgn_am import DgnAm
from tests.unit.engine.synthesis.codes import code_of

Wrap = Callable[..., Network]
FREE = DgnAm(steps=5, learning_rate=0.2, decay=1.0, bounds="none", start="half-normal")


def classifier(norm: nn.Module) -> nn.Module:
    torch.manual_seed(2)
    layers = [nn.Conv2d(3, 6, 3), norm, nn.ReLU(), nn.Conv2d(6, 9, 3, 2), nn.Flatten(), nn.Linear(324, 5)]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("start", ["half-normal", "prototypes"])
def test_a_seed_may_be_any_number_of_64_bits(wrap: Wrap, knowing: Generator, start: Any) -> None:
    network, recipe = wrap(classifier(nn.Identity())), DgnAm(steps=2, start=start, jitter=1)
    items = [Item(1, seed) for seed in (2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1)]
    together = synthesize(network, knowing, "5", items, recipe)
    for item, picture in zip(items, together, strict=True):
        (alone,) = synthesize(network, knowing, "5", [item], recipe)
        assert np.array_equal(alone.image, picture.image)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, lambda width: nn.GroupNorm(2, width), nn.InstanceNorm2d])
def test_a_picture_is_the_same_to_the_last_bit_in_any_company(
    wrap: Wrap, compact: Generator, norm: Callable[[int], nn.Module]
) -> None:
    network = wrap(classifier(norm(6)))
    items = [Item(n % 5, n) for n in range(11)]
    recipe = FREE.changed(steps=12)
    together = synthesize(network, compact, "5", items, recipe)
    for company in ([items[6]], items[6:8], items[9:2:-1]):
        picture = synthesize(network, compact, "5", company, recipe)[company.index(items[6])]
        assert np.array_equal(code_of(picture), code_of(together[6]))
        assert np.array_equal(picture.image, together[6].image)
        assert np.array_equal(picture.trace, together[6].trace)


@pytest.mark.parametrize("function", [nn.ReLU, nn.SiLU, nn.ELU, nn.Hardswish])
def test_functions_in_place_make_the_pictures_that_they_make_otherwise(
    wrap: Wrap, compact: Generator, function: Callable[..., nn.Module]
) -> None:
    def network(inplace: bool) -> Network:
        torch.manual_seed(2)
        layers = [
            nn.Conv2d(3, 6, 3),
            function(inplace=inplace),
            nn.Conv2d(6, 4, 3),
            function(inplace=inplace),
        ]
        return wrap(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))

    for layer in ("0", "1", "2", "3", "6"):
        (plain,), (inplace,) = (
            synthesize(network(i), compact, layer, [Item(1, 0)], FREE) for i in (False, True)
        )
        assert np.array_equal(plain.image, inplace.image)
        assert plain.activation == inplace.activation
        assert plain.predictions == inplace.predictions
