"""Second climbs: units that a clip in the network's code cuts off are reached, none ends below its start."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imago_engine.synthesis.ascent import PATIENCE, Item, Picture, synthesize
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import Network, Preprocessing
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.stored_pixels import from_bytes, to_bytes
from imago_engine.techniques.dgn_am import DgnAm

Wrap = Callable[..., Network]
Clip = Callable[[Tensor], Tensor]
SIZE = Preprocessing(32, (0.0,) * 3, (1.0,) * 3)
RECIPE = DgnAm(
    steps=20, learning_rate=0.05, learning_rate_end=1e-10, decay=1.0, space="whitened", start="prototypes"
)


def itself(x: Tensor) -> Tensor:
    """No clip."""
    return x


def stairs(x: Tensor) -> Tensor:
    """On or off; where a picture changes nothing it has a gradient of zero, as a clip has."""
    return (x > 0) + 0 * x


class Clipped(nn.Module):
    """One unit a channel, cut off by a function that no module stands for."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv2d(3, 4, 9, stride=4)
        self.clips = [clip]

    def forward(self, x: Tensor) -> Tensor:
        return self.clips[0](self.conv(x))


class Layer(nn.Module):
    """`clipped` and a class or two behind it."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clipped = Clipped(clip)
        self.out = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.out(self.clipped(x).mean((2, 3)))
        return result


def of_prototypes(module: nn.Module, generator: Generator) -> Tensor:
    """What each prototype's picture excites the units in the middle, [K, C]."""
    assert generator.prior is not None
    with torch.no_grad():
        pictures = to_bytes(generator(generator.prior.code(generator.prior.prototypes.float())))
        output = Prefix(module, "clipped")(from_bytes(pictures))
    return output[:, :, output.shape[2] // 2, output.shape[3] // 2]


def clipped(clip: Clip, generator: Generator, steep: float, above: int) -> Layer:
    """A network whose unit 0 is at 0 for all prototypes but the best `above` + 1: one is just above 0, the
    others are further by `steep` and more.
    """
    layer = Layer(clip)
    layer.clipped.clips = [itself]
    linear = of_prototypes(layer, generator)[:, 0].sort(descending=True).values
    scale = steep / float(linear[above - 1] - linear[above])
    layer.clipped.conv.weight.data[0] *= scale
    bias = layer.clipped.conv.bias
    assert bias is not None
    bias.data[0] = (bias.data[0] - float(linear[above])) * scale + 0.5
    layer.clipped.clips = [clip]
    return layer.eval().requires_grad_(False)


CLIPS: dict[str, Clip] = {
    "relu6": F.relu6,
    "clamp": lambda x: x.clamp(0, 6),
    "two": lambda x: torch.cat([F.relu6(x[:, :2]), F.relu6(x[:, 2:])], 1),
}


def climbed(
    wrap: Wrap, module: nn.Module, generator: Generator, *items: Item, **changes: float
) -> list[Picture]:
    return synthesize(wrap(module, SIZE), generator, "clipped", items, RECIPE.changed(**changes))


@pytest.mark.parametrize("clip", CLIPS)
def test_a_unit_that_is_off_or_saturated_at_nearly_every_prototype_is_reached(
    wrap: Wrap, knowing: Generator, clip: str
) -> None:
    module = clipped(CLIPS[clip], knowing, steep=8.0, above=3)
    known = of_prototypes(module, knowing)[:, 0]
    assert (known == 6).sum() == 3  # no gradient
    assert (known == 0).sum() == 16  # neither
    (picture,) = climbed(wrap, module, knowing, Item(0, seed=0))
    assert picture.status == "done"
    assert picture.activation == 6


def test_a_unit_whose_clip_has_no_slope_at_all_is_reached_at_its_upper_end(
    wrap: Wrap, knowing: Generator
) -> None:
    module = clipped(stairs, knowing, steep=8.0, above=3)
    (picture,) = climbed(wrap, module, knowing, Item(0, seed=0))
    assert (picture.status, picture.activation) == ("done", 1)


def test_a_unit_that_no_prototype_excites_and_nothing_leads_to_is_unreachable(
    wrap: Wrap, knowing: Generator
) -> None:
    module = clipped(F.relu6, knowing, steep=8.0, above=3)
    for dead, bias in ((1, -3.0), (2, 9.0)):  # always off, always saturated: no picture makes a difference
        module.clipped.conv.weight.data[dead] = 0
        module.clipped.conv.get_parameter("bias").data[dead] = bias
    pictures = climbed(wrap, module, knowing, Item(1, 0), Item(0, 0), Item(2, 0))
    assert [picture.status for picture in pictures] == ["unreachable", "done", "unreachable"]
    assert [len(picture.trace) for picture in pictures] == [PATIENCE, RECIPE.steps, PATIENCE]


@pytest.mark.parametrize("seed", [0, 5])
def test_a_climb_that_loses_its_unit_ends_no_lower_than_its_prototype(
    wrap: Wrap, knowing: Generator, seed: int
) -> None:
    module = clipped(itself, knowing, steep=8.0, above=3)
    known = of_prototypes(module, knowing)[:, 0].sort(descending=True).values
    # Steps that throw the point about, to the end.
    wild = {"learning_rate": 20.0, "learning_rate_end": 20.0, "radius": 10.0}
    (picture,) = climbed(wrap, module, knowing, Item(0, seed), **wild)
    assert picture.status == "done"
    assert picture.activation >= float(known[seed]) - 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_a_unit_that_is_off_wherever_its_climbs_end_is_reached_at_its_prototype(
    wrap: Wrap, knowing: Generator, seed: int
) -> None:
    module = clipped(F.relu6, knowing, steep=8.0, above=3)
    wild = {"learning_rate": 20.0, "learning_rate_end": 20.0, "radius": 10.0}
    (picture,) = climbed(wrap, module, knowing, Item(0, seed), **wild)
    assert (picture.status, picture.activation) == ("done", 6)


def test_what_a_second_climb_makes_does_not_depend_on_its_company(wrap: Wrap, knowing: Generator) -> None:
    module = clipped(F.relu6, knowing, steep=8.0, above=3)
    items = [Item(n % 2, seed=n) for n in range(7)]
    together = climbed(wrap, module, knowing, *items)
    for n in (0, 4, 6):
        (alone,) = climbed(wrap, module, knowing, items[n])
        assert np.array_equal(alone.image, together[n].image)
        np.testing.assert_array_equal(alone.trace, together[n].trace)
        assert (alone.status, alone.activation) == (together[n].status, together[n].activation)


def test_without_prototypes_a_unit_that_is_off_is_reached_through_other_places(
    wrap: Wrap, compact: Generator
) -> None:
    module = Layer(F.relu6)
    conv, seed = module.clipped.conv, 0
    code = torch.randn(24, generator=torch.Generator().manual_seed(seed)).abs() * compact.code_std
    with torch.no_grad():
        seen = conv(compact(code[None]))[0]  # [4, 6, 6]
        unit = int((seen.amax((1, 2)) - seen[:, 3, 3]).argmax())  # the one that is highest elsewhere
        conv.weight[unit] *= 20
        conv.get_parameter("bias")[unit] = 0
        seen = conv(compact(code[None]))[0, unit]
        conv.get_parameter("bias")[unit] = -(seen[3, 3] + seen.max()) / 2
    recipe = DgnAm(steps=30, learning_rate=0.1, decay=1.0, bounds="none", start="half-normal")
    (picture,) = synthesize(wrap(module, SIZE), compact, "clipped", [Item(unit, seed)], recipe)
    assert picture.trace[0] == 0
    assert picture.status == "done"
    assert picture.activation > 0
