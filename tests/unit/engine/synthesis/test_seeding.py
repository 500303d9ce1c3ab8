"""Networks that draw random numbers: pauses find the caller's own, and do not wait for theirs."""

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.computing.thread_groups import thread_groups
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.pictures import Picture
from imago_engine.synthesis.seeding import seeded
from imago_engine.techniques.dgn_am import DgnAm

Wrap = Callable[..., Network]
RECIPE = DgnAm(steps=3, learning_rate=0.2, decay=1.0, bounds="none", start="half-normal")
ITEMS = [Item(unit, unit) for unit in range(3)]


class Drawing(nn.Module):
    """Drops some of its map at random, also in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(F.dropout(self.conv(x).relu(), 0.5).mean((2, 3)))
        return result


@pytest.fixture(autouse=True)
def _every_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imago_engine.synthesis.computing.thread_groups.PAUSE_SECONDS", 0.0)


def in_time(work: Callable[[], list[Picture]]) -> list[Picture]:
    """What it gives; fails, instead of waiting for ever, where it waits for itself."""
    made: list[Picture] = []
    thread = threading.Thread(target=lambda: made.extend(work()), daemon=True)
    thread.start()
    thread.join(120)
    assert not thread.is_alive(), "it waits for itself"
    return made


def test_a_pause_may_use_networks_that_draw_random_numbers(wrap: Wrap, compact: Generator) -> None:
    network = wrap(Drawing())
    paused: list[list[Picture]] = []

    def pause() -> None:
        if not paused:
            paused.append([])
            paused.append(synthesize(network, compact, "fc", ITEMS[:1], RECIPE))

    made = in_time(lambda: synthesize(network, compact, "fc", ITEMS, RECIPE, on_pause=pause))
    assert len(made) == len(ITEMS)
    assert np.array_equal(paused[1][0].image, made[0].image)


def test_a_pause_finds_the_callers_random_numbers_and_changes_no_picture(
    wrap: Wrap, compact: Generator
) -> None:
    network, found = wrap(Drawing()), []

    def pause() -> None:
        found.append(torch.rand(5))

    expected = synthesize(network, compact, "fc", ITEMS, RECIPE)
    torch.manual_seed(7)
    made = in_time(lambda: synthesize(network, compact, "fc", ITEMS, RECIPE, on_pause=pause))
    torch.manual_seed(7)
    assert len(found) > len(ITEMS)
    assert torch.equal(torch.stack(found), torch.stack([torch.rand(5) for _ in found]))
    for one, other in zip(made, expected, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.trace, other.trace)


def test_a_pause_that_is_due_waits_for_one_group_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pause, groups, cpu = 0.05, 2 * torch.get_num_threads(), torch.device("cpu")
    monkeypatch.setattr("imago_engine.synthesis.computing.thread_groups.PAUSE_SECONDS", pause)
    done: list[int] = []
    done_at_pauses: list[int] = []

    def work(group: int) -> int:
        time.sleep(2 * pause)  # so that a pause is due behind each
        done.append(group)
        return group

    with thread_groups(cpu, lambda: done_at_pauses.append(len(done))) as run:
        assert seeded(run, cpu)(work, range(groups)) == [*range(groups)]
    assert {*range(1, groups)} <= {*done_at_pauses}
