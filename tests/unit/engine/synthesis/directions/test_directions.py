"""The start `direction`: along which direction of real codes a unit's activation grows."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.computing.thread_groups import thread_groups
from imago_engine.synthesis.directions import unit_directions
from imago_engine.synthesis.directions.encoded_slopes import behind_encoder
from imago_engine.synthesis.directions.unit_directions import (
    Directions,
    look,
    looked_at_with,
)
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.files import load_generator
from imago_engine.synthesis.generators.prior import CodePrior, CodeSamples
from imago_engine.synthesis.inspection.anatomy import anatomy
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.techniques.dgn_am import DgnAm
from imago_engine.weights import shipped_generator
from tests.unit.engine.synthesis.codes import code_of
from tests.unit.engine.synthesis.directions.directed import ALONG, Small, Wrap, directions_of, prior_of

FIT = Fit.plan("auto", 32, 32)


def points_of(network: Network, generator: Generator, layer: str, items: list[Item], recipe: DgnAm) -> Tensor:
    pictures = synthesize(network, generator, layer, items, recipe)
    return prior_of(generator).point(torch.from_numpy(np.stack([code_of(picture) for picture in pictures])))


def test_a_step_along_a_units_direction_excites_it_more_than_along_any_others(
    wrap: Wrap, knowing: Generator
) -> None:
    network, prior = wrap(Small()), prior_of(knowing)
    found = directions_of(network, knowing, "code")
    torch.testing.assert_close(found.norm(dim=0), torch.ones(24), atol=2e-3, rtol=0)
    codes = torch.randn(300, 6, generator=torch.Generator().manual_seed(1))

    def excited(points: Tensor) -> Tensor:
        with torch.no_grad():
            x = knowing(prior.code(points)).clamp(0, 1)
            return Prefix(network.module, "code")(x).mean(0)

    gains = torch.stack([excited(codes + 0.5 * way) - excited(codes - 0.5 * way) for way in found.T])
    others = gains.clone().fill_diagonal_(0)
    assert (gains.diagonal() > 0).all()
    assert (gains.diagonal() >= others.amax(0) * 0.98).all()


def test_a_start_lies_as_far_along_the_direction_as_the_weight_says(wrap: Wrap, knowing: Generator) -> None:
    network, items = wrap(Small()), [Item(unit, seed) for unit in (0, 4) for seed in (0, 3, 16)]
    ways = directions_of(network, knowing, "head")
    before = points_of(network, knowing, "head", items, ALONG.changed(start="prototypes"))
    for weight in (0.5, 1.25):
        after = points_of(network, knowing, "head", items, ALONG.changed(direction_weight=weight))
        for item, moved in zip(items, after - before, strict=True):
            expected = weight * math.sqrt(6) * ways[:, item.unit]
            torch.testing.assert_close(moved, expected, atol=1e-3, rtol=1e-3)


def test_a_unit_that_no_code_excites_begins_at_the_mean_of_prototypes(wrap: Wrap, knowing: Generator) -> None:
    dark = Small()
    nn.init.zeros_(dark.map.weight)
    network = wrap(dark)
    moved = points_of(network, knowing, "map", [Item(1, 0)], ALONG)
    still = points_of(network, knowing, "map", [Item(1, 0)], ALONG.changed(start="prototypes"))
    torch.testing.assert_close(moved, still, atol=1e-4, rtol=0)


def test_each_place_of_a_map_has_directions_of_its_own(wrap: Wrap, knowing: Generator) -> None:
    network, items = wrap(Small()), [Item(2, 0), Item(2, 0, (7, 7)), Item(2, 0, (0, 0))]
    found = find_layer(network, "map", 32)
    assert found.place == (7, 7)
    with thread_groups(torch.device("cpu")) as run:
        usual, centre, corner = Directions(network, knowing, found, FIT, ALONG).of(items, run)
        (alone,) = Directions(network, knowing, found, FIT, ALONG).of(items[2:], run)
    assert torch.equal(usual, centre)
    assert not torch.allclose(usual, corner, atol=0.05)
    assert torch.equal(corner, alone)


def test_in_the_encoders_own_network_directions_are_those_that_its_weights_say(
    wrap: Wrap, knowing: Generator
) -> None:
    network = wrap(Small())
    info = dataclasses.replace(
        knowing.info, encoder_layer="code", encoder_sha256=network.weights_sha256, code_shape=(24,)
    )
    own = Generator(
        info,
        knowing.network,
        knowing.code_mean,
        knowing.code_std,
        knowing.code_lower,
        knowing.code_axes,
        knowing.code_prototypes,
    )
    axes = prior_of(own).axes
    slopes = axes @ network.module.head.weight.T  # type: ignore[operator, union-attr]
    slopes = slopes - slopes.mean(1, keepdim=True)
    torch.testing.assert_close(
        directions_of(network, own, "head"), slopes / slopes.norm(dim=0), atol=2e-3, rtol=0
    )
    torch.testing.assert_close(
        directions_of(network, own, "code"), axes / axes.norm(dim=0), atol=2e-3, rtol=0
    )
    regressed = directions_of(network, knowing, "map")
    assert torch.equal(directions_of(network, own, "map"), regressed), "codes do not lead to earlier layers"


class Branched(Small):
    """`side` runs after `code` and does not depend on it."""

    def __init__(self) -> None:
        super().__init__()
        self.side = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.flat(self.pool(self.clip(self.map(x))))
        logits: Tensor = self.head(self.code(pooled)) + self.side(pooled)
        return logits


def test_a_branch_beside_the_encoders_layer_is_regressed_though_it_runs_later(
    wrap: Wrap, knowing: Generator
) -> None:
    network = wrap(Branched())
    info = dataclasses.replace(knowing.info, encoder_layer="code", encoder_sha256=network.weights_sha256)
    tensors = (knowing.code_mean, knowing.code_std, knowing.code_lower, knowing.code_axes)
    own = Generator(info, knowing.network, *tensors, knowing.code_prototypes)
    assert behind_encoder(network, own, 32) == {"code", "head"}
    found = directions_of(network, own, "side")
    torch.testing.assert_close(found.norm(dim=0), torch.ones(5), atol=2e-3, rtol=0)
    assert torch.equal(found, directions_of(network, knowing, "side"))


class EachByItself(Small):
    """Its labels do not exclude each other; the first two are nearly the same."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.squash = nn.Linear(24, 2), nn.Sigmoid()
        with torch.no_grad():
            self.head.weight[1] = self.head.weight[0] + 0.01 * self.head.weight[1]

    def forward(self, x: Tensor) -> Tensor:
        probabilities: Tensor = self.squash(super().forward(x))
        return probabilities


def test_classes_that_do_not_exclude_each_other_have_directions_of_their_own(
    wrap: Wrap, knowing: Generator
) -> None:
    first, second = directions_of(wrap(EachByItself()), knowing, "output").T
    assert first @ second > 0.99


class Counting(Small):
    """Holds on to how many pictures it was given."""

    def forward(self, x: Tensor) -> Tensor:
        code = self.code(self.flat(self.pool(self.clip(self.map(x)))))
        logits: Tensor = self.head(code.view(len(x), 24))
        return logits


def test_a_network_that_counts_its_pictures_is_given_as_many_codes(wrap: Wrap, knowing: Generator) -> None:
    found = []
    for network in (wrap(Small()), wrap(Counting())):
        info = dataclasses.replace(knowing.info, encoder_layer="code", encoder_sha256=network.weights_sha256)
        tensors = (knowing.code_mean, knowing.code_std, knowing.code_lower, knowing.code_axes)
        own = Generator(info, knowing.network, *tensors, knowing.code_prototypes)
        found.append(directions_of(network, own, "head"))
    assert torch.equal(*found)


def test_what_is_looked_at_together_changes_nothing(
    wrap: Wrap, knowing: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = wrap(Small())
    traced = anatomy(network.module, 32)

    def all_at_most(units: int) -> dict[str, Tensor]:
        monkeypatch.setattr(unit_directions, "TOGETHER", units)
        found: dict[str, Tensor] = {}
        with thread_groups(torch.device("cpu")) as run:
            for layer in traced.layers.values():
                layers = looked_at_with(layer, network, knowing, 32)
                assert layer.name in [read.layer.name for read in layers]
                seen = look(network, knowing, layers, FIT, ALONG, run)
                found |= {read.layer.name: directions for read, directions in seen.items()}
        return found

    together, apart = all_at_most(10_000), all_at_most(1)
    assert together.keys() == apart.keys() == traced.layers.keys()
    for name, expected in together.items():
        assert torch.equal(apart[name], expected), name


def test_functions_in_place_do_not_change_what_was_seen(wrap: Wrap, knowing: Generator) -> None:
    for layer in ("map", "head"):
        one, other = (directions_of(wrap(Small(inplace)), knowing, layer) for inplace in (False, True))
        assert torch.equal(one, other)


def test_directions_do_not_depend_on_the_number_of_threads(
    wrap: Wrap, knowing: Generator, hook_count: Callable[[nn.Module], int]
) -> None:
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            network = wrap(Small())
            found.append(directions_of(network, knowing, "code"))
            assert hook_count(network.module) == 0
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_codes_of_a_file_with_samples_are_these(knowing: Generator) -> None:
    real = torch.randn(50, 6, generator=torch.Generator().manual_seed(2))
    prior = prior_of(knowing)
    sampled = CodePrior(prior.mean, prior.axes, prior.prototypes, CodeSamples.of(real))
    assert sampled.typical(30).shape == (30, 6)
    torch.testing.assert_close(sampled.typical(90), real, atol=4 / 127, rtol=0)


def test_codes_of_a_file_without_samples_vary_as_real_ones_do(knowing: Generator) -> None:
    prior = prior_of(knowing)
    centres = prior.prototypes * 0.5
    drawn = CodePrior(prior.mean, prior.axes, centres).typical(4000)
    torch.testing.assert_close(drawn.var(0), torch.ones(6), atol=0.1, rtol=0)
    torch.testing.assert_close(drawn.mean(0), centres.mean(0), atol=0.06, rtol=0)
    assert torch.equal(drawn, CodePrior(prior.mean, prior.axes, centres).typical(4000))


@pytest.fixture(scope="module")
def shipped() -> Generator:
    return load_generator(shipped_generator())


def test_classes_of_the_shipped_generators_encoder_have_the_directions_of_its_classifier(
    lite0: Network, shipped: Generator
) -> None:
    recipe = DgnAm(start="direction", input_size=64)
    rows = lite0.module.classifier.weight  # type: ignore[union-attr]
    slopes = prior_of(shipped).axes.mean((2, 3)) @ rows.T  # type: ignore[operator]
    slopes = slopes - slopes.mean(1, keepdim=True)
    found = directions_of(lite0, shipped, "output", recipe)
    torch.testing.assert_close(found, slopes / slopes.norm(dim=0), atol=2e-3, rtol=0)


def test_regression_finds_much_the_same_directions_as_the_classifiers_weights(
    lite0: Network, shipped: Generator
) -> None:
    """As it does for every other network: only 256 codes here, drawn around prototypes, at 64 pixels."""
    unknown = dataclasses.replace(shipped.info, encoder_sha256="0" * 64)
    tensors = (shipped.code_mean, shipped.code_std, shipped.code_lower, shipped.code_axes)
    stranger = Generator(unknown, shipped.network, *tensors, shipped.code_prototypes)
    recipe = DgnAm(start="direction", input_size=64, direction_codes=256)
    regressed = directions_of(lite0, stranger, "output", recipe)
    known = directions_of(lite0, shipped, "output", recipe)
    cosines = (regressed * known).sum(0)
    assert cosines.mean() > 0.2, "of 320 coordinates a random direction has 0 ± 0.06"
