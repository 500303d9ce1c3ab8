"""Ascents that know what real codes are like: their coordinates, their limits and where they begin."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from imago_engine.synthesis.ascent import Item, Stop, synthesize
from imago_engine.synthesis.computing.thread_groups import thread_groups
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.code_spaces import code_space
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.starts.ranking import FACETS, SHARPNESS
from imago_engine.synthesis.transforms import magnified
from imago_engine.techniques import RecipeError
from imago_engine.techniques.dgn_am import DgnAm
from tests.unit.engine.synthesis.codes import code_of

Wrap = Callable[..., Network]
WHITENED = DgnAm(
    steps=6, learning_rate=0.1, decay=1.0, space="whitened", start="prototype", input_size=32, zoom=1.5
)
RESTING = WHITENED.changed(steps=1, learning_rate=1e-9, learning_rate_end=1e-9)
"""One step so small that the first code is the last one."""


class Colours(nn.Module):
    """Three units, each the mean of one colour of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.flat(self.pool(x * self.scale))
        return result


def test_points_and_codes_stand_for_each_other(knowing: Generator) -> None:
    space = code_space(knowing, WHITENED)
    points = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(space.point(space.code(points)), points, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(space.code(space.centre[None])[0], knowing.code_mean)


def test_a_whitened_code_stays_within_the_radius_of_real_ones(wrap: Wrap, knowing: Generator) -> None:
    recipe = WHITENED.changed(radius=0.5, learning_rate=5.0, learning_rate_end=5.0)
    pictures = synthesize(wrap(Colours()), knowing, "flat", [Item(0, 0), Item(2, 1)], recipe)
    space = code_space(knowing, recipe)
    points = space.point(torch.from_numpy(np.stack([code_of(picture) for picture in pictures])))
    assert (points.norm(dim=1) <= 0.5 * math.sqrt(6) * 1.001).all()
    assert points.norm(dim=1).max() > 0.3 * math.sqrt(6), "so large steps lead to the limit"


def test_a_whitened_step_moves_a_code_along_its_principal_directions_only(
    wrap: Wrap, knowing: Generator
) -> None:
    (picture,) = synthesize(wrap(Colours()), knowing, "flat", [Item(1, 3)], WHITENED)
    away = torch.from_numpy(code_of(picture)) - knowing.code_mean
    assert knowing.code_axes is not None
    within = torch.linalg.lstsq(knowing.code_axes.T, away[:, None])
    assert (knowing.code_axes.T @ within.solution - away[:, None]).norm() < 1e-4 * away.norm()


def test_seeds_begin_at_the_prototypes_that_excite_the_unit_most(wrap: Wrap, knowing: Generator) -> None:
    network, prior = wrap(Colours()), knowing.prior
    assert prior is not None
    with torch.no_grad():
        seen = network.module(knowing(prior.code(prior.prototypes)).clamp(0, 1))
    for unit in range(3):
        best = seen[:, unit].argsort(descending=True)
        for seed in (0, 1, FACETS + 1):
            (picture,) = synthesize(network, knowing, "flat", [Item(unit, seed)], RESTING)
            point = prior.point(torch.from_numpy(code_of(picture))[None])
            nearest = (prior.prototypes - point).norm(dim=1).argmin()
            assert nearest == best[seed % FACETS]


def test_seeds_of_one_prototype_differ(wrap: Wrap, knowing: Generator) -> None:
    items = [Item(0, 2), Item(0, 2 + FACETS)]
    one, other = synthesize(wrap(Colours()), knowing, "flat", items, RESTING)
    assert np.abs(code_of(one) - code_of(other)).max() > 0.01


def test_seeds_begin_as_far_from_each_other_as_the_recipe_says(wrap: Wrap, knowing: Generator) -> None:
    assert knowing.prior is not None
    items = [Item(0, FACETS * n) for n in range(40)]  # all of one facet
    for start in ("prototype", "prototypes", "direction"):
        for spread in (0.1, 0.8):
            recipe = RESTING.changed(start=start, radius=10, start_spread=spread)
            made = synthesize(wrap(Colours()), knowing, "flat", items, recipe)
            points = knowing.prior.point(torch.from_numpy(np.stack([code_of(picture) for picture in made])))
            assert points.std(0).mean().item() == pytest.approx(spread, rel=0.2)


def test_seeds_begin_at_the_weighted_mean_of_the_best_prototypes_or_halfway_to_one(
    wrap: Wrap, knowing: Generator
) -> None:
    network, prior = wrap(Colours()), knowing.prior
    assert prior is not None
    with torch.no_grad():
        seen = network.module(knowing(prior.code(prior.prototypes)).clamp(0, 1))[:, 1].double()
    best = seen.argsort(descending=True)[:FACETS]
    weights = torch.exp(SHARPNESS * (seen[best] - seen[best[0]]) / seen.std(correction=0))
    mean = (weights[:, None] * prior.prototypes[best]).sum(0) / weights.sum()
    for seed, expected in ((0, mean), (3, (mean + prior.prototypes[best[2]]) / 2)):
        seeds = [seed + FACETS * n for n in range(40)]  # what each adds to the mean averages out
        recipe = RESTING.changed(start="prototypes", radius=10)
        spread = recipe.start_spread
        pictures = synthesize(network, knowing, "flat", [Item(1, s) for s in seeds], recipe)
        points = prior.point(torch.from_numpy(np.stack([code_of(picture) for picture in pictures])))
        torch.testing.assert_close(points.mean(0).double(), expected, atol=4 * spread / math.sqrt(40), rtol=0)


def test_a_unit_that_no_prototype_excites_begins_at_their_plain_mean(wrap: Wrap, knowing: Generator) -> None:
    dark, prior = Colours(), knowing.prior
    nn.init.zeros_(dark.scale)
    assert prior is not None
    recipe = RESTING.changed(start="prototypes", radius=10)
    (picture,) = synthesize(wrap(dark), knowing, "flat", [Item(0, 0)], recipe)
    point = prior.point(torch.from_numpy(code_of(picture))[None])[0]
    torch.testing.assert_close(point, prior.prototypes[:FACETS].mean(0), atol=5 * recipe.start_spread, rtol=0)


def test_a_plain_ascent_can_begin_at_a_prototype_too(wrap: Wrap, knowing: Generator) -> None:
    plain, whitened = (
        synthesize(
            wrap(Colours()), knowing, "flat", [Item(1, 0)], RESTING.changed(space=space, bounds="none")
        )
        for space in ("plain", "whitened")
    )
    np.testing.assert_allclose(code_of(plain[0]), code_of(whitened[0]), atol=1e-4)


def test_a_half_normal_start_becomes_the_nearest_point(wrap: Wrap, knowing: Generator) -> None:
    recipe = RESTING.changed(start="half-normal", radius=10)
    (picture,) = synthesize(wrap(Colours()), knowing, "flat", [Item(0, 4)], recipe)
    code = torch.randn(24, generator=torch.Generator().manual_seed(4)).abs() * knowing.code_std
    space = code_space(knowing, recipe)
    np.testing.assert_allclose(code_of(picture), space.code(space.point(code[None]))[0].numpy(), atol=1e-4)


def test_neighbours_leave_no_trace_in_a_whitened_climb(lite0: Network, knowing: Generator) -> None:
    recipe = WHITENED.changed(start="prototypes", steps=12, learning_rate=0.3, jitter=3, momentum=0.5)
    items = [Item(unit=n, seed=n, position=(n % 4, 1)) for n in range(7)]
    together = synthesize(lite0, knowing, "blocks.2.0", items, recipe)
    (alone,) = synthesize(lite0, knowing, "blocks.2.0", [items[5]], recipe)
    assert np.array_equal(code_of(alone), code_of(together[5]))
    assert np.array_equal(alone.image, together[5].image)


@pytest.mark.parametrize("space", ["plain", "whitened"])
@pytest.mark.parametrize("start", ["normal", "half-normal", "prototype", "prototypes", "direction"])
def test_neighbours_leave_no_trace_wherever_a_climb_begins(
    wrap: Wrap, knowing: Generator, space: Any, start: Any
) -> None:
    torch.manual_seed(0)
    network = wrap(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(980, 6)))
    # Steps that are too large now and then: some lead down, and back to where the climb began.
    recipe = DgnAm(
        steps=6, space=space, start=start, learning_rate=0.8, bounds="none", decay=1.0, direction_codes=128
    )
    items = [Item(unit=n % 6, seed=n) for n in range(9)]
    together = synthesize(network, knowing, "3", items, recipe)
    for item, picture in zip(items, together, strict=True):
        (alone,) = synthesize(network, knowing, "3", [item], recipe)
        assert np.array_equal(code_of(alone), code_of(picture))
        assert np.array_equal(alone.image, picture.image)


def test_pictures_do_not_depend_on_the_number_of_threads(lite0: Network, knowing: Generator) -> None:
    items = [Item(unit=n, seed=n) for n in range(9)]
    before = torch.get_num_threads()
    try:
        pictures = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            recipe = WHITENED.changed(start="prototypes", steps=4)
            pictures.append(synthesize(lite0, knowing, "output", items, recipe))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*pictures, strict=True):
        assert np.array_equal(code_of(one), code_of(other))
        assert np.array_equal(one.image, other.image)


def test_what_a_group_raises_reaches_the_caller() -> None:
    def work(group: int) -> int:
        if group == 2:
            raise ValueError("two")
        return group

    with thread_groups(torch.device("cpu")) as run:
        assert run(work, [0, 1, 3]) == [0, 1, 3]
        with pytest.raises(ValueError, match="two"):
            run(work, [0, 1, 2, 3])


def test_a_picture_that_is_white_everywhere_comes_back(wrap: Wrap, compact: Generator) -> None:
    """So far off that every pixel is saturated: float32 has no gradient left there."""

    class Saturating(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))

        def forward(self, code: Tensor) -> Tensor:
            return torch.tanh(code * self.gain).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)

    info = replace(compact.info, architecture="bent", code_shape=(1,), image_size=8)
    size = (1,)
    bent = Generator(info, Saturating(), torch.zeros(size), torch.ones(size), torch.full(size, -9.0))
    recipe = RESTING.changed(steps=30, learning_rate=40.0, learning_rate_end=0.0, input_size=8)
    recipe = recipe.changed(space="plain", start="normal", bounds="none", zoom=1.0)
    (picture,) = synthesize(wrap(Colours()), bent, "flat", [Item(0, 0)], recipe)
    assert picture.status == "done"
    assert abs(code_of(picture)[0]) < 15, "it never came back to where there is a gradient"


def test_a_magnified_part_is_what_is_there() -> None:
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    whole, corner = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.5, -0.5, 0.5])
    seen = magnified(x, torch.stack([whole, corner]))
    torch.testing.assert_close(seen[0], x[0])
    # The lower left quarter, twice as large: each of its pixels becomes 2×2 around the same mean.
    torch.testing.assert_close(seen[1].mean((1, 2)), x[1, :, 4:, :4].mean((1, 2)), atol=0.03, rtol=0)


def test_a_magnified_part_is_the_same_whatever_type_numbers_have_by_default() -> None:
    draw = torch.Generator().manual_seed(0)
    x, zooms = torch.rand(4, 3, 17, 17, generator=draw), torch.rand(4, 3, generator=draw) / 2 + 0.5
    shifts = torch.randint(-3, 4, (4, 2), generator=draw)
    expected = magnified(x, zooms, shifts)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(magnified(x, zooms, shifts), expected)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("change", "field"), [({"space": "whitened", "start": "normal"}, "space"), ({"space": "plain"}, "start")]
)
def test_a_generator_without_a_prior_says_what_is_missing(
    wrap: Wrap, compact: Generator, change: dict[str, str], field: str
) -> None:
    with pytest.raises(RecipeError, match=f"{field}: .*expected"):
        synthesize(wrap(Colours()), compact, "flat", [Item(0, 0)], WHITENED.changed(**change))


def test_a_whitened_climb_that_leads_down_stays_near_where_it_began(wrap: Wrap, knowing: Generator) -> None:
    class Misleading(nn.Linear):
        """Its gradient says up where its value goes down."""

        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return y - 2 * y.detach()

    recipe = WHITENED.changed(steps=40, learning_rate=0.1, learning_rate_end=0.1, start="normal", zoom=1.0)
    space = code_space(knowing, recipe)
    start = torch.randn(space.shape, generator=torch.Generator().manual_seed(0))
    away = []
    for kind in (nn.Linear, Misleading):
        last = kind(3, 3, bias=False)
        last.weight.data = torch.eye(3)
        network = wrap(nn.Sequential(Colours(), last))
        (picture,) = synthesize(network, knowing, "1", [Item(0, 0)], recipe)
        away.append((space.point(torch.from_numpy(code_of(picture))[None])[0] - start).norm())
    assert away[1] < 0.9 * away[0]


def test_ranking_the_prototypes_pauses_between_groups_and_can_be_stopped(
    wrap: Wrap, knowing: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imago_engine.synthesis.computing.thread_groups.PAUSE_SECONDS", 0.0)
    for module in ("ranking", "prototype_pictures"):
        monkeypatch.setattr(f"imago_engine.synthesis.starts.{module}.GROUP", 1)
    happened: list[str] = []

    def pause() -> None:
        happened.append("pause")

    synthesize(
        wrap(Colours()),
        knowing,
        "flat",
        [Item(0, 0)],
        RESTING,
        on_step=lambda step: happened.append("step"),
        on_pause=pause,
    )
    assert happened[:2] == ["pause", "pause"]
    assert "step" in happened

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        synthesize(wrap(Colours()), knowing, "flat", [Item(0, 0)], RESTING, on_pause=stop)
