"""How good the network finds pictures of a unit, and the best of several seeds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from imago_engine.candidates import SEED_STEP, best_first, candidate_seeds
from imago_engine.notebook.functions import synthesize
from imago_engine.synthesis.ascent import synthesize as synthesize_items
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.pictures import Item, Picture
from imago_engine.synthesis.scoring import scored, scores
from imago_engine.techniques.dgn_am import DgnAm

Wrap = Callable[..., Network]


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.map = nn.Conv2d(3, 6, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.flat(self.pool(self.map(x))))
        return logits


def picture(image: np.ndarray, status: str = "done") -> Picture:
    return Picture(image, None, 0.0, np.zeros(1, np.float32), status, None, None, 0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    random = np.random.default_rng(0)
    return [picture(random.integers(0, 256, (16, 16, 3), dtype=np.uint8) // (n + 1)) for n in range(11)]


def test_a_class_is_scored_by_its_log_probability_for_the_whole_picture(
    wrap: Wrap, pictures: list[Picture]
) -> None:
    network, items = wrap(Classifier()), [Item(n % 4, n) for n in range(11)]
    images = torch.stack([torch.from_numpy(p.image) for p in pictures]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = network.module(images).log_softmax(1)[range(11), [i.unit for i in items]]
    found = scores(network, "output", items, pictures, input_size=8)
    torch.testing.assert_close(torch.tensor(found), expected)


class ManyAtOnce(Classifier):
    """Its classes do not exclude each other."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sigmoid()


def test_a_class_that_excludes_no_other_is_scored_by_its_own_log_probability(
    wrap: Wrap, pictures: list[Picture]
) -> None:
    network, items = wrap(ManyAtOnce()), [Item(n % 4, n) for n in range(11)]
    images = torch.stack([torch.from_numpy(p.image) for p in pictures]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = network.module(images).log()[range(11), [i.unit for i in items]]
    torch.testing.assert_close(torch.tensor(scores(network, "output", items, pictures, 8)), expected)


class OfOneSize(Classifier):
    """Runs on pictures of 16 pixels alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(-1, 3, 16, 16))


def test_a_picture_outlives_a_network_that_does_not_run_at_its_own_size(
    wrap: Wrap, canvas: Generator
) -> None:
    elsewhere = replace(wrap(OfOneSize()).preprocessing, size=224)
    network, recipe = wrap(OfOneSize(), elsewhere), DgnAm(steps=2, bounds="none", input_size=16)
    (made,) = synthesize_items(network, canvas, "output", [Item(3, 0)], recipe)
    assert made.status == "done"
    (at_its_size,) = scores(wrap(OfOneSize()), "output", [Item(3, 0)], [made], None)
    assert made.score == pytest.approx(at_its_size)


def test_a_hidden_unit_is_scored_by_views_that_are_the_same_for_all(
    wrap: Wrap, pictures: list[Picture]
) -> None:
    network = wrap(Classifier())
    items = [Item(2, n, (1, 1) if n == 3 else None) for n in range(11)]
    found = scores(network, "map", items, [*pictures[:9], pictures[0], pictures[3]], input_size=12)
    assert found[9] == found[0]
    assert found[10] != found[3], "another place sees something else"
    assert len(set(found[:9])) == 9


def test_what_shows_nothing_or_has_no_number_has_no_score(wrap: Wrap, pictures: list[Picture]) -> None:
    module = Classifier()
    network, items = wrap(module), [Item(1, n) for n in range(3)]
    made = [pictures[0], picture(pictures[1].image, "unreachable"), pictures[2]]
    first, unreachable, last = scored(network, "output", items, made, None)
    values = scores(network, "output", [items[0], items[2]], [made[0], made[2]], None)
    assert [first.score, unreachable.score, last.score] == [values[0], None, values[1]]
    assert scored(network, "output", items[:1], made[1:2], None)[0].score is None
    torch.nn.init.constant_(module.head.bias, float("nan"))
    assert [one.score for one in scored(network, "output", items, made, None)] == [None] * 3


def test_scores_do_not_depend_on_what_is_looked_at_together(wrap: Wrap, pictures: list[Picture]) -> None:
    network, items = wrap(Classifier()), [Item(n % 4, n) for n in range(11)]
    expected = scores(network, "map", items, pictures, 12)
    for size in (1, 3):
        found = scores(network, "map", items, pictures, 12, group_size=size)
        torch.testing.assert_close(torch.tensor(found), torch.tensor(expected))


def test_the_best_comes_first_and_what_has_no_score_last() -> None:
    assert best_first([-3.0, -1.0, -2.0]) == [1, 2, 0]
    assert best_first([None, -1.0, -1.0, float("-1e9")]) == [1, 2, 3, 0]
    assert best_first([None, None]) == [0, 1]


def test_the_first_candidate_is_the_seed_itself_and_more_have_those_of_fewer() -> None:
    assert list(candidate_seeds(7, 1)) == [7]
    for count in range(2, 9):
        assert list(candidate_seeds(7, count))[: count - 1] == list(candidate_seeds(7, count - 1))


def test_no_two_seeds_that_are_near_share_a_candidate_and_all_begin_at_other_prototypes() -> None:
    found = [seed for asked in (0, 1, 63, SEED_STEP - 1) for seed in candidate_seeds(asked, 8)]
    assert len(set(found)) == len(found)
    assert len({seed % 16 for seed in candidate_seeds(0, 8)}) == 8


def test_each_candidate_is_the_picture_of_its_own_seed(wrap: Wrap, canvas: Generator) -> None:
    network = wrap(Classifier())
    recipe: dict[str, Any] = {
        "steps": 3,
        "generator": canvas,
        "progress": False,
        "bounds": "none",
        "learning_rate": 0.5,
    }
    every = [*candidate_seeds(0, 3), *candidate_seeds(1, 3)]
    alone = synthesize(network, "output", [0, 3], seeds=every, **recipe)
    best = synthesize(network, "output", [0, 3], seeds=[0, 1], candidates=3, **recipe)
    assert len(best) == 4
    by_seed = {(v.unit, v.seed): v.image for v in alone}
    for n, shown in enumerate(best):
        assert shown.candidates is not None
        seeds = [candidate.seed for candidate in shown.candidates]
        assert sorted(seeds) == list(candidate_seeds(n % 2, 3))
        values = [candidate.score for candidate in shown.candidates]
        assert values == sorted(values, key=lambda score: -(score or 0.0))
        assert shown.seed == seeds[0]
        for candidate in shown.candidates:
            assert np.array_equal(candidate.image, by_seed[candidate.unit, candidate.seed])
