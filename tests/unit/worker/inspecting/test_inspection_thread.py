"""A network that is inspected rests while someone waits, and an inspection that hangs is left behind."""

import threading
import time

import pytest
import torch
from torch import nn

from worker.inspecting.inspection_thread import Inspection
from worker.leasing.hang_detection import HangDetector


def test_it_stops_between_two_modules_while_it_is_held_up_and_others_go_on() -> None:
    seen: list[int] = []

    class Counting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(seen))
            time.sleep(0.002)
            return x

    network = nn.Sequential(*(Counting() for _ in range(100)))
    inspection = Inspection(lambda: network(torch.zeros(1)))
    with inspection.held_up():
        time.sleep(0.05)  # the module that it is in ends
        at = len(seen)
        nn.Identity()(torch.zeros(1))  # of this thread, which would wait for itself
        time.sleep(0.1)
        assert len(seen) == at < 100
    assert inspection.wait(60)
    assert len(seen) == 100
    assert inspection.result().shape == (1,)


def test_what_it_raises_is_told() -> None:
    def look() -> None:
        raise SystemExit("a network that ends the process")

    inspection = Inspection(look)
    assert inspection.wait(60)
    with pytest.raises(SystemExit, match="ends the process"):
        inspection.result()


def test_one_that_stands_still_hangs_though_it_was_held_up_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(HangDetector.__init__, "__defaults__", (0.05,))
    end = threading.Event()
    inspection = Inspection(end.wait)
    deadline = time.monotonic() + 60
    while not inspection.hangs:
        assert time.monotonic() < deadline
        with inspection.held_up():
            assert not inspection.hangs
        time.sleep(0.01)
    end.set()
    assert inspection.wait(60)
