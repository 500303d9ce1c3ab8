"""Progress is told to who asks for it, and to nobody else."""

import sys

import pytest

from imago_engine.notebook.progress import progress_of


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
