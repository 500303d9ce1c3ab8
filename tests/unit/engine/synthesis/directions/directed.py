"""A small network whose units have directions, and how these are measured."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from imago_engine.synthesis.ascent import Item
from imago_engine.synthesis.computing.thread_groups import thread_groups
from imago_engine.synthesis.directions.unit_directions import Directions
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.prior import CodePrior
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network
from imago_engine.techniques.dgn_am import DgnAm

Wrap = Callable[..., Network]
ALONG = DgnAm(
    steps=1,
    learning_rate=1e-9,
    learning_rate_end=1e-9,
    decay=1.0,
    space="whitened",
    radius=10,
    start="direction",
    input_size=32,
    direction_codes=512,
)
"""One step so small that the first code is the last one."""


class Small(nn.Module):
    """Colours of the picture, a map, `code` of 24 numbers, and 5 logits."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.map = nn.Conv2d(3, 8, 3, 2)
        self.clip = nn.ReLU(inplace=inplace)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.code = nn.Linear(8, 24)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.code(self.flat(self.pool(self.clip(self.map(x))))))
        return logits


def prior_of(generator: Generator) -> CodePrior:
    assert generator.prior is not None
    return generator.prior


def directions_of(network: Network, generator: Generator, layer: str, recipe: DgnAm = ALONG) -> Tensor:
    """Of all units of a layer, [R, C]."""
    fit = Fit.plan("auto", generator.info.image_size, recipe.input_size or 32)
    found = find_layer(network, layer, fit.input_size)
    items = [Item(unit, 0) for unit in range(found.shape[0])]
    with thread_groups(torch.device("cpu")) as run:
        return torch.stack(Directions(network, generator, found, fit, recipe).of(items, run), dim=1)
