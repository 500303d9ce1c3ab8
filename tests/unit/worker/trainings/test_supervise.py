"""What the end of a training's process means; what happens before it ends is tested with real workers."""

from pathlib import Path
from typing import Any, cast

import pytest

from imago_engine.training_events import EventReader, Exported, Failed, FailureCode, Note, TrainingEvent
from worker.trainings.account import Account
from worker.trainings.supervise import Supervisor, TrainingFailed

EXPORTED = Exported(file="g.safetensors", card="g.md", bytes=1, sha256="0", description={})


class EndedProcess:
    exit_code = 1

    def kill(self) -> None:
        pass

    def how_it_ended(self) -> str:
        return "ended by SIGSEGV"

    def stderr_tail(self) -> str:
        return ""


def see_through(tmp_path: Path, *told: TrainingEvent) -> Exported:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(event.model_dump_json() + "\n" for event in told))
    unused = cast(Any, None)
    training = cast(Any, type("Training", (), {"keeper": None, "stop": None}))
    supervisor = Supervisor(training, unused, Account(EventReader(path)), unused, unused, others=unused)
    return supervisor.see_through(cast(Any, EndedProcess()))


def test_a_process_that_has_exported_is_done_however_it_ended(tmp_path: Path) -> None:
    assert see_through(tmp_path, EXPORTED) == EXPORTED


@pytest.mark.parametrize(("code", "explained"), [("data", True), ("memory", True), ("unexpected", False)])
def test_a_failure_ends_the_training_unless_it_may_succeed_at_another_try(
    tmp_path: Path, code: FailureCode, explained: bool
) -> None:
    with pytest.raises(TrainingFailed, match="in words for people") as raised:
        see_through(tmp_path, Failed(code=code, message="in words for people"))
    assert raised.value.explained is explained


def test_a_process_that_says_nothing_of_its_end_has_crashed(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="ended by SIGSEGV") as raised:
        see_through(tmp_path, Note(message="warning"))
    assert not raised.value.explained
