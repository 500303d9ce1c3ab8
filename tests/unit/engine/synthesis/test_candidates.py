"""Several seeds of a unit in the order in which the network finds them good."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from imago_engine.notebook.functions import synthesize
from imago_engine.synthesis.candidates import candidate_seeds, in_order, scores
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.pictures import Item, Picture
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


def test_a_hidden_unit_is_scored_by_views_that_are_the_same_for_all(
    wrap: Wrap, pictures: list[Picture]
) -> None:
    network = wrap(Classifier())
    items = [Item(2, n, (1, 1) if n == 3 else None) for n in range(11)]
    found = scores(network, "map", items, [*pictures[:9], pictures[0], pictures[3]], input_size=12)
    assert found[9] == found[0]
    assert found[10] != found[3], "another place sees something else"
    assert len(set(found[:9])) == 9


def test_the_best_comes_first_and_what_shows_nothing_last(wrap: Wrap, pictures: list[Picture]) -> None:
    network, items = wrap(Classifier()), [Item(1, n) for n in range(6)]
    unreachable = picture(pictures[0].image, "unreachable")
    made = [*pictures[:5], unreachable]
    values = scores(network, "output", items, made, None)
    first, second = in_order(network, "output", items, made, DgnAm(), 3)
    assert first == sorted(range(3), key=lambda n: -values[n])
    assert second[-1] == 5
    assert {*second} == {3, 4, 5}


def test_no_two_seeds_share_a_candidate() -> None:
    assert [*candidate_seeds(0, 3), *candidate_seeds(1, 3)] == list(range(6))
    assert list(candidate_seeds(7, 1)) == [7], "one candidate is the picture that there always was"


def test_each_candidate_is_the_picture_of_its_own_seed(wrap: Wrap, canvas: Generator) -> None:
    network = wrap(Classifier())
    recipe: dict[str, Any] = {
        "steps": 3,
        "generator": canvas,
        "progress": False,
        "bounds": "none",
        "learning_rate": 0.5,
    }
    alone = synthesize(network, "output", [0, 3], seeds=range(6), **recipe)
    best = synthesize(network, "output", [0, 3], seeds=[0, 1], candidates=3, **recipe)
    assert len(best) == 4
    by_seed = {(v.unit, v.seed): v.image for v in alone}
    for n, shown in enumerate(best):
        assert shown.candidates is not None
        seeds = [candidate.seed for candidate in shown.candidates]
        assert sorted(seeds) == list(candidate_seeds(n % 2, 3))
        assert shown.seed == seeds[0]
        for candidate in shown.candidates:
            assert np.array_equal(candidate.image, by_seed[candidate.unit, candidate.seed])
