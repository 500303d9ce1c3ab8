"""What the end of a training's process means; what happens before it ends is tested with real workers."""

import errno
from pathlib import Path
from typing import Any, cast
from unittest.mock import MagicMock, create_autospec

import pytest

from imago_engine.training_events import EventReader, Exported, Failed, FailureCode, Note, TrainingEvent
from services.base.errors import Unavailable
from services.upkeep.collected import BeingRemoved
from worker.trainings.other_work import OtherWork
from worker.trainings.process_state import ProcessState
from worker.trainings.supervise import (
    CannotGoOnHere,
    OtherDataHere,
    PicturesFailed,
    Supervisor,
    TrainingFailed,
)

EXPORTED = Exported(file="g.safetensors", card="g.md", bytes=1, sha256="0", description={})


class EndedProcess:
    exit_code = 1

    def kill(self) -> None:
        pass

    def how_it_ended(self) -> str:
        return "ended by SIGSEGV"

    def stderr_tail(self) -> str:
        return ""


class NothingLeft:
    unsaved = False


def see_through(tmp_path: Path, *told: TrainingEvent, checkpoints: object = None) -> Exported:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(event.model_dump_json() + "\n" for event in told))
    unused = cast(Any, None)
    training = MagicMock()
    training.insist = lambda action, what: action()
    left = cast(Any, checkpoints or NothingLeft())
    supervisor = Supervisor(
        training, unused, ProcessState(EventReader(path)), unused, left, other_work=unused
    )
    return supervisor.see_through(cast(Any, EndedProcess()))


def test_a_process_that_has_exported_is_done_however_it_ended(tmp_path: Path) -> None:
    assert see_through(tmp_path, EXPORTED) == EXPORTED


@pytest.mark.parametrize(("code", "explained"), [("data", True), ("options", True), ("unexpected", False)])
def test_a_failure_ends_the_training_unless_it_may_succeed_at_another_try(
    tmp_path: Path, code: FailureCode, explained: bool
) -> None:
    with pytest.raises(TrainingFailed, match="in words for people") as raised:
        see_through(tmp_path, Failed(code=code, message="in words for people"))
    assert raised.value.explained is explained


def test_a_failure_that_lies_at_this_machine_now_does_not_end_the_training(tmp_path: Path) -> None:
    with pytest.raises(CannotGoOnHere, match="the disk is full"):
        see_through(tmp_path, Failed(code="files", message="the disk is full", passing=True))
    with pytest.raises(OtherDataHere, match="of other pictures"):
        see_through(tmp_path, Failed(code="other_data", message="of other pictures", passing=True))


@pytest.mark.parametrize(
    "error", [None, OSError(errno.ENOSPC, "No space left on device"), Unavailable("store")]
)
def test_what_a_process_has_saved_before_it_could_not_go_on_is_stored_where_that_can_be_done(
    tmp_path: Path, error: Exception | None
) -> None:
    class Left:
        unsaved, tries = True, 0

        def save(self) -> None:
            self.tries += 1
            if error is not None:
                raise error

    left = Left()
    with pytest.raises(CannotGoOnHere, match="out of memory"):
        see_through(tmp_path, Failed(code="memory", message="out of memory", passing=True), checkpoints=left)
    assert left.tries == 1


@pytest.mark.parametrize("code", ["data", "source"])
def test_a_failure_of_the_pictures_is_told_from_others(tmp_path: Path, code: FailureCode) -> None:
    with pytest.raises(PicturesFailed) as raised:
        see_through(tmp_path, Failed(code=code, message="none"))
    assert raised.value.explained


class Saving:
    """Checkpoints that are saved once, if that can be done."""

    unsaved, tries = True, 0

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def save(self) -> None:
        self.tries += 1
        if self._error is not None:
            raise self._error


def until_it_saves(tmp_path: Path, saving: Saving, reporter: MagicMock) -> None:
    """Watch over a process that ends, having exported, once it was tried to save its checkpoint."""

    class Process(EndedProcess):
        @property
        def exit_code(self) -> int | None:  # type: ignore[override]
            return 0 if saving.tries else None

    path = tmp_path / "events.jsonl"
    path.write_text(EXPORTED.model_dump_json() + "\n")
    training = MagicMock()
    training.keeper.canceled = ()
    other_work = create_autospec(OtherWork, instance=True)
    other_work.is_waiting.return_value = False
    state = ProcessState(EventReader(path))
    supervisor = Supervisor(training, MagicMock(), state, reporter, cast(Any, saving), other_work=other_work)
    assert supervisor.see_through(cast(Any, Process())) == EXPORTED
    assert saving.tries == 1
    other_work.is_waiting.assert_called_once()


def test_a_full_disk_on_the_side_of_the_worker_does_not_end_a_process_that_goes_on(tmp_path: Path) -> None:
    until_it_saves(tmp_path, Saving(OSError(errno.ENOSPC, "No space left on device")), MagicMock())


def test_a_grid_that_is_being_removed_keeps_no_training_from_being_saved(tmp_path: Path) -> None:
    reporter = MagicMock()
    reporter.report.side_effect = BeingRemoved
    until_it_saves(tmp_path, Saving(), reporter)


def test_a_process_that_says_nothing_of_its_end_has_crashed(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="ended by SIGSEGV") as raised:
        see_through(tmp_path, Note(message="warning"))
    assert not raised.value.explained
