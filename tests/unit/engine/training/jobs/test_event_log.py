from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from imago_engine.training.jobs.event_log import EventLog
from imago_engine.training_events import EventReader, Note


def test_an_event_that_a_full_disk_has_cut_short_costs_no_later_one(
    tmp_path: Path,
    file_size_limit: Callable[[int], AbstractContextManager[None]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "events.jsonl"
    first, lost, unwritten, last = (Note(message=name * 20) for name in ("a", "b", "c", "d"))
    with closing(EventLog(path)) as events:
        events.tell(first)
        with file_size_limit(path.stat().st_size + 20):
            events.tell(lost)
            events.tell(unwritten)
        events.tell(last)
    assert EventReader(path).new() == [first, last]
    assert "an event cannot be written" in capfd.readouterr().err


def test_events_go_on_after_those_of_a_process_that_was_killed_in_the_midst_of_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first, second = Note(message="a"), Note(message="b")
    path.write_bytes(first.model_dump_json().encode() + b'\n{"event": "no')
    with closing(EventLog(path)) as events:
        events.tell(second)
    assert EventReader(path).new() == [first, second]
