"""In which groups steps are computed, and whether they are recorded: pictures stay the same to the bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from imago_engine.synthesis import ascent
from imago_engine.synthesis.ascent import Item, Picture, synthesize
from imago_engine.synthesis.computing.captured_step import WARM_UP, CapturedStep, Repetition
from imago_engine.synthesis.computing.thread_groups import even_sizes
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.groups import StepInputs
from imago_engine.synthesis.networks.load import Network
from imago_engine.techniques import technique_named
from imago_engine.techniques.dgn_am import DgnAm
from tests.unit.engine.synthesis.codes import code_of

Wrap = Callable[..., Network]
STEPS = 14
RECIPE = DgnAm(
    steps=STEPS, learning_rate=0.2, decay=1.0, bounds="none", start="half-normal", jitter=2, zoom=1.4
)


@pytest.mark.parametrize(
    ("count", "threads", "sizes"),
    [
        (1, 2, [2, 4]),
        (4, 2, [2, 4]),
        (6, 2, [3, 4]),
        (8, 2, [4]),
        (12, 2, [6]),
        (16, 2, []),
        (17, 2, [5]),
        (24, 2, [6]),
        (7, 1, [7]),
        (9, 1, [5]),
        (64, 64, [2, 4]),
    ],
)
def test_groups_are_even_and_leave_no_thread_without_work(count: int, threads: int, sizes: list[int]) -> None:
    assert even_sizes(count, largest=8, least=(2, 4), at_once=threads) == sizes


class Counting(nn.Module):
    """A classifier of 16×16 pictures that notes how many it is given at once while gradients are on, and
    rounds otherwise where they are so many as one of `rounds`.
    """

    def __init__(self, *rounds: int) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.parts = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.SiLU(), nn.Flatten(), nn.Linear(294, 5)
        )
        self.rounds = rounds
        self.seen: list[int] = []

    def __deepcopy__(self, memo: Any) -> "Counting":
        """The fast copy notes in the same list."""
        made = Counting(*self.rounds).eval().requires_grad_(False)
        made.load_state_dict(self.state_dict())
        made.seen = self.seen
        return made

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.seen.append(len(x))
        result: Tensor = self.parts(x * (1 + 2e-6 * (len(x) in self.rounds)))
        return result


def same(one: list[Picture], other: list[Picture]) -> bool:
    return all(
        np.array_equal(a.image, b.image) and np.array_equal(a.trace, b.trace) and a.activation == b.activation
        for a, b in zip(one, other, strict=True)
    )


WHOLE = (8, 8)
"""The first step, and the second one as others are compared with it."""


@pytest.mark.parametrize(
    ("rounds", "seen"),
    [
        ((3,), [*WHOLE, 3, 4, *[4] * (STEPS - 1)]),
        ((3, 4), [*WHOLE, 3, 4, *[8] * (STEPS - 1)]),
    ],
)
def test_steps_are_computed_in_the_smallest_groups_that_give_the_same_to_the_bit(
    wrap: Wrap, compact: Generator, rounds: tuple[int, ...], seen: list[int]
) -> None:
    recipe, module = RECIPE.changed(precision="float32"), Counting(*rounds)
    network = wrap(module)
    many = synthesize(network, compact, "parts.4", [Item(n % 5, n) for n in range(8)], recipe)
    module.seen.clear()
    few = synthesize(network, compact, "parts.4", [Item(n, n) for n in range(3)], recipe)
    assert same(few, many[:3])
    assert module.seen == seen


@pytest.mark.parametrize("technique", ["dgn-am", "fourier", "pixel"])
@pytest.mark.parametrize("count", [3, 11])
def test_recorded_steps_make_the_pictures_of_steps_that_are_not_recorded(
    technique: str, count: int, wrap: Wrap, knowing: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = wrap(Counting())
    parameters = technique_named(technique).Parameters(steps=STEPS)
    if technique == "dgn-am":
        parameters = RECIPE.changed(momentum=0.5, l2=0.01, learning_rate_end=0.05)
    items = [Item(n % 5, n) for n in range(count)]
    usual = synthesize(network, knowing, "parts.4", items, parameters)
    recordings: list[Any] = []

    class Noted(Repetition):
        def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
            recordings.append(compute)
            return super().record(compute)

    monkeypatch.setattr(ascent, "recorder_for", lambda device: Noted())
    recorded = synthesize(network, knowing, "parts.4", items, parameters)
    assert same(recorded, usual)
    assert len(recordings) == (2 if count == 11 else 1)  # of a whole group, and of the one that is filled up
    if technique == "dgn-am":
        assert all(np.array_equal(code_of(a), code_of(b)) for a, b in zip(recorded, usual, strict=True))


def inputs(step: int) -> StepInputs:
    return StepInputs(torch.tensor([step]), torch.arange(3))


def test_a_recording_computes_from_its_own_copies_of_the_inputs() -> None:
    seen: list[StepInputs] = []

    def compute(given: StepInputs) -> Tensor:
        seen.append(given)
        return given.step + given.items

    captured = CapturedStep(compute, Repetition())
    results = [captured(inputs(step)) for step in range(WARM_UP + 3)]
    assert captured.replays
    assert [result.tolist() for result in results] == [[n, n + 1, n + 2] for n in range(WARM_UP + 3)]
    assert len({id(given.step) for given in seen[WARM_UP:]}) == 1


def test_a_step_that_cannot_be_recorded_is_computed_as_usual_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refusing(Repetition):
        def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
            compute()
            raise RuntimeError("operation not permitted when stream is capturing")

    def double(given: StepInputs) -> Tensor:
        return given.step * 2

    captured = CapturedStep(double, Refusing())
    assert [int(captured(inputs(step))) for step in range(WARM_UP + 3)] == [2 * n for n in range(WARM_UP + 3)]
    assert not captured.replays
    assert caplog.text.count("operation not permitted") == 1
