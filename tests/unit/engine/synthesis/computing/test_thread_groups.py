"""Groups side by side, with pauses in which nothing is computed."""

import threading
import time

import pytest
import torch

from imago_engine.synthesis.computing import thread_groups as module
from imago_engine.synthesis.computing.thread_groups import thread_groups


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_pauses_come_between_groups_while_none_is_computed(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    computed, at_once, pauses = 0, 0, 0
    lock = threading.Lock()

    def work(group: int) -> int:
        nonlocal computed, at_once
        with lock:
            at_once += 1
        time.sleep(0.004)
        with lock:
            at_once -= 1
            computed += 1
        return group * group

    def pause() -> None:
        nonlocal pauses
        assert at_once == 0
        seen = computed
        time.sleep(0.01)
        assert computed == seen
        pauses += 1

    with thread_groups(torch.device(device), pause) as run:
        assert run(work, list(range(40))) == [n * n for n in range(40)]
    assert pauses > 1


def test_a_pause_may_use_the_same_threads_and_may_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    threads = torch.get_num_threads()
    nested: list[int] = []
    worked: list[int] = []

    def pause() -> None:
        if nested:
            raise KeyError("enough")
        with thread_groups(torch.device("cpu")) as inner:
            nested.extend(inner(lambda group: torch.get_num_threads(), [1, 2, 3]))

    with thread_groups(torch.device("cpu"), pause) as run, pytest.raises(KeyError, match="enough"):
        run(worked.append, list(range(100)))
    assert nested == [1, 1, 1]
    assert len(worked) < 100
    assert torch.get_num_threads() == threads


def test_an_error_of_a_group_ends_the_others() -> None:
    worked: list[int] = []

    def work(group: int) -> None:
        if group == 3:
            raise ValueError("group 3")
        time.sleep(0.001)
        worked.append(group)

    with thread_groups(torch.device("cpu")) as run, pytest.raises(ValueError, match="group 3"):
        run(work, list(range(500)))
    assert len(worked) < 500
