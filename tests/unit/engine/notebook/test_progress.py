"""Progress is told to who asks for it, and to nobody else."""

import sys

import pytest

from imago_engine.notebook.progress import Progress, look_shown, progress_of
from imago_engine.synthesis.directions.kept_looks import kept_looks


def test_a_callback_is_told_the_steps_done_and_in_all() -> None:
    told: list[tuple[int, int]] = []
    with progress_of(lambda done, total: told.append((done, total)), 3, "x") as on_step:
        assert on_step is not None
        for step in (1, 2, 3):
            on_step(step)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_without_progress_nothing_is_called() -> None:
    with progress_of(False, 3, "x") as on_step:
        assert on_step is None


def test_a_bar_is_shown_to_a_terminal_or_notebook_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def climbs() -> str:
        with progress_of(True, 2, "conv") as on_step:
            assert on_step is not None
            on_step(2)
        return capsys.readouterr().err

    assert climbs() == ""
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert "conv: 100%" in climbs()


def test_without_tqdm_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with progress_of(True, 2, "conv") as on_step:
        assert on_step is None


def test_a_first_look_at_a_network_has_a_bar_of_its_own_once_it_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    with look_shown(True, "resnet18: first look"):
        kept = kept_looks()
        assert kept is not None
        assert kept.get({}) is None
        assert capsys.readouterr().err == ""
        kept.note({}, 0, 512)
        assert "resnet18: first look:   0%" in capsys.readouterr().err
        kept.put({}, {})
    assert kept_looks() is None


@pytest.mark.parametrize("asked", [False, lambda done, total: None])
def test_who_wants_no_bar_is_shown_no_look(asked: Progress | bool) -> None:
    with look_shown(asked, "resnet18"):
        assert kept_looks() is None
