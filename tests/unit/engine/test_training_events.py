"""Events of a training as they pass from one process to another by a file that grows."""

import math
from pathlib import Path

from imago_engine.training_events import (
    Begun,
    EventReader,
    Exported,
    Failed,
    LeftOut,
    Phase,
    Progress,
    Sample,
    Saved,
    TrainingEvent,
)

EVENTS: list[TrainingEvent] = [
    Phase(phase="preparing"),
    LeftOut(count=1, first=["b.png (cannot be decoded)"], listed="prepared/left_out.txt"),
    Begun(pictures=0, train=32, held_out=8, corrupt=1, computed_on="CPU"),
    Progress(pictures=8, losses={"layout": 0.5}, rate=2.5, waiting=0.0, done=0.1, left=10),
    Sample(pictures=8, held_out={"pixels": 0.25}, grid="grids/000000008.png"),
    Saved(pictures=8, file="checkpoint.safetensors"),
    Exported(file="g.safetensors", card="g.md", bytes=1, sha256="0", description={"steps": 1}),
    Failed(code="data", message="too few"),
]


def line(event: TrainingEvent) -> bytes:
    return event.model_dump_json().encode() + b"\n"


def test_every_event_is_read_once_as_it_was_told(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.new() == []
    for event in EVENTS:
        with path.open("ab") as file:
            file.write(line(event))
        assert reader.new() == [event]
    assert reader.new() == []
    assert EventReader(path).new() == EVENTS


def test_a_line_that_is_being_written_is_left_for_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    whole = line(EVENTS[0]) + line(EVENTS[3])
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        found = reader.new()
        assert found == [
            e for e, at in ((EVENTS[0], len(line(EVENTS[0]))), (EVENTS[3], len(whole))) if at == end
        ]


def test_a_line_that_was_cut_short_for_good_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(EVENTS[0]) + line(EVENTS[1])[:-9] + b"\n" + line(EVENTS[2]))
    assert EventReader(path).new() == [EVENTS[0], EVENTS[2]]


def test_a_metric_that_is_no_number_is_null(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(Sample(pictures=8, held_out={"pixels": math.nan})))
    (sample,) = EventReader(path).new()
    assert isinstance(sample, Sample)
    assert sample.held_out == {"pixels": None}
