from pathlib import Path

from imago_engine.training_events import (
    Begun,
    EventReader,
    Failed,
    Phase,
    Progress,
    Sample,
    Saved,
    TrainingEvent,
)
from worker.trainings.process_state import ProcessState


def tell(path: Path, *events: TrainingEvent) -> None:
    with path.open("a") as file:
        file.writelines(event.model_dump_json() + "\n" for event in events)


def test_progress_is_what_was_told_last(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    state = ProcessState(EventReader(path))
    state.read_events()
    assert (state.phase, state.figures, state.saves, state.end) == (None, {}, 0, None)

    tell(path, Phase(phase="preparing"), Phase(phase="training"))
    tell(path, Begun(pictures=8, train=32, held_out=8, corrupt=0, computed_on="CPU"))
    state.read_events()
    assert (state.phase, state.figures) == ("training", {"pictures": 8})

    losses: dict[str, float | None] = {"layout": 0.5, "code": float("nan")}
    sample = Sample(pictures=12, held_out={"pixels": 0.25}, grid="grids/000000012.png")
    tell(path, Progress(pictures=10, losses=losses, rate=2.5, waiting=0, done=0.1, left=9), sample)
    state.read_events()
    assert state.figures == {"pictures": 12, "rate": 2.5, "losses": {"layout": 0.5}}
    assert state.samples == [sample]


def test_a_checkpoint_counts_once_it_is_told_and_the_end_is_what_the_process_says(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    state = ProcessState(EventReader(path))
    tell(path, Saved(pictures=8, file="checkpoint.safetensors"))
    state.read_events()
    state.read_events()
    assert state.saves == 1
    failed = Failed(code="diverged", message="no longer numbers")
    tell(path, Saved(pictures=16, file="checkpoint.safetensors"), failed)
    state.read_events()
    assert (state.saves, state.end, state.figures) == (2, failed, {"pictures": 16})
