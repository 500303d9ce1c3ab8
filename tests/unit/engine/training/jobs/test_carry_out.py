"""Jobs and what they tell: names instead of paths, and how they end."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import squeezenet1_1

from imago_engine.training.data.preparation import DataUnread
from imago_engine.training.data.sources import SourceError, SourceUnread
from imago_engine.training.jobs import carry_out as module
from imago_engine.training.jobs.carry_out import carry_out
from imago_engine.training.jobs.event_log import EventLog
from imago_engine.training.run.checkpoint import NotRead
from imago_engine.training_events import EVENTS, EventReader, Failed, TrainingEvent
from imago_engine.training_jobs import BoundsJob, DataPlan, NewTraining, Place, Reading, TrainJob
from imago_engine.trainings import PRESETS, EncoderRequest, TrainingChoices

ENCODER = EncoderRequest(layer="global_pool", input_size=32)


@pytest.fixture
def root(tmp_path: Path, picture_bytes: Callable[[int], bytes]) -> Path:
    root = tmp_path / "data"
    (root / "discs").mkdir(parents=True)
    for i in range(24):
        (root / "discs" / f"{i:02d}.png").write_bytes(picture_bytes(i))
    return root


def job(
    root: Path,
    *,
    warm_start: str | None = None,
    second_weights: str | None = None,
    pictures: int = 8,
    minimum: int = 8,
) -> TrainJob:
    choices = TrainingChoices(batch=8, feature_size=32 if second_weights is None else 64)
    options: dict[str, object] = {"width": 0.125}
    if second_weights is not None:
        options["second_network"] = "torchvision:squeezenet1_1"
    return TrainJob(
        folder=Place(path=root.parent / "run", name="the run folder"),
        data=DataPlan(
            sources=[Place(path=root / "discs", name="discs")],
            reading=Reading(data_root=Place(path=root, name="the data root")),
            encoder=ENCODER,
            image_size=32,
            held_out=8,
            minimum=minimum,
        ),
        begin=NewTraining(
            preset="default",
            settings=PRESETS["default"].settled(choices, options),
            warm_start=None if warm_start is None else Place(path=root / warm_start, name=warm_start),
        ),
        second_weights=None
        if second_weights is None
        else Place(path=root / second_weights, name=second_weights),
        pictures=pictures,
        threads=1,
    )


def test_one_job_prepares_trains_and_exports_and_tells_each(root: Path) -> None:
    told: list[TrainingEvent] = []
    (root / "discs" / "broken.png").write_bytes(b"no picture")
    assert carry_out(job(root), told.append) == "done"
    kinds = [event.event for event in told]
    assert kinds == [
        *("phase", "left_out", "phase", "begun"),
        *("progress", "saved", "sample", "phase", "exported"),
    ]
    for event in told:
        assert str(root.parent) not in event.model_dump_json()
    assert (root.parent / "run" / "generator.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "code", "message", "passing"),
    [
        ({"minimum": 1000}, "data", "pictures to train on are too few", False),
        ({"warm_start": "old.safetensors"}, "generator", "old.safetensors", False),
        ({"second_weights": "judge.safetensors"}, "network", "judge.safetensors", True),  # out of reach
    ],
)
def test_a_failure_says_why_in_the_names_of_the_job(
    root: Path, change: dict[str, object], code: str, message: str, passing: bool
) -> None:
    told: list[TrainingEvent] = []
    assert carry_out(job(root, **change), told.append) == "failed"  # type: ignore[arg-type]
    end = told[-1]
    assert isinstance(end, Failed)
    assert (end.code, end.passing) == (code, passing)
    assert message in end.message
    assert str(root.parent) not in end.message


def test_a_training_with_a_second_network_goes_on_with_its_weights_wherever_they_lie_and_no_others(
    root: Path,
) -> None:
    def judge(seed: int) -> None:
        torch.manual_seed(seed)
        save_file(squeezenet1_1(weights=None, num_classes=10).state_dict(), root / "judge.safetensors")

    judge(0)
    begun = job(root, second_weights="judge.safetensors")
    assert carry_out(begun, lambda _: None) == "done"
    card = (root.parent / "run" / "generator.md").read_text()
    assert "second_weights judge.safetensors" in card
    assert str(root) not in card
    (root / "judge.safetensors").rename(root / "moved.safetensors")
    told: list[TrainingEvent] = []
    more = begun.model_copy(update={"begin": None, "second_weights": None, "pictures": 16})
    assert carry_out(more, told.append) == "failed"
    moved = more.model_copy(update={"second_weights": Place(path=root / "moved.safetensors")})
    assert carry_out(moved, told.append) == "done"
    judge(1)
    other = Place(path=root / "judge.safetensors", name="judge.safetensors")
    others = more.model_copy(update={"second_weights": other, "pictures": 24})
    assert carry_out(others, told.append) == "failed"
    assert isinstance(told[-1], Failed)
    assert told[-1].code == "options"
    assert "judge.safetensors has other weights" in told[-1].message


def test_what_lies_at_this_machine_now_is_told_as_passing(
    root: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    def end_of(wanted: TrainJob) -> tuple[str, bool]:
        told: list[TrainingEvent] = []
        assert carry_out(wanted, told.append) == "failed"
        assert isinstance(told[-1], Failed)
        return told[-1].code, told[-1].passing

    with file_size_limit(1 << 14):
        assert end_of(job(root)) == ("files", True)
    assert carry_out(job(root), lambda _: None) == "done"
    more = job(root, pictures=16).model_copy(update={"begin": None})
    with file_size_limit(1 << 14):
        assert end_of(more) == ("checkpoint", True)
    (root / "discs" / "00.png").write_bytes((root / "discs" / "01.png").read_bytes())
    shutil.rmtree(root.parent / "run" / "prepared")
    assert end_of(more) == ("other_data", True)
    shutil.rmtree(root.parent / "run" / "prepared")
    for picture in (root / "discs").iterdir():
        picture.unlink()
    assert end_of(more) == ("other_data", True), "it was begun with pictures, which may be there again"
    (root / "discs").rmdir()
    assert end_of(more) == ("other_data", True)


@pytest.mark.parametrize(
    ("error", "code", "passing"),
    [
        (MemoryError("no room"), "memory", True),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "memory",
            True,
        ),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory", True),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), "device", True),
        (SourceUnread("discs cannot be read: Stale file handle"), "source", True),
        (DataUnread("0 pictures to train on are too few"), "data", True),
        (NotRead("cannot be read"), "checkpoint", True),
        (SourceError("no archive"), "source", False),
    ],
)
def test_memory_and_reading_that_fail_now_may_succeed_at_another_try(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, passing: bool
) -> None:
    def failing(*_: object) -> bool:
        raise error

    monkeypatch.setattr(module, "train", failing)
    told: list[TrainingEvent] = []
    assert carry_out(job(root), told.append) == "failed"
    assert isinstance(told[-1], Failed)
    assert (told[-1].code, told[-1].passing) == (code, passing)


def test_a_prepared_folder_that_is_damaged_is_prepared_anew(root: Path) -> None:
    told: list[TrainingEvent] = []
    assert carry_out(job(root), told.append) == "done"
    (root.parent / "run" / "prepared" / "codes.npy").write_bytes(b"")
    more = job(root, pictures=16).model_copy(update={"begin": None})
    assert carry_out(more, told.append) == "done"


def test_a_source_that_cannot_be_read_is_called_by_its_name(root: Path) -> None:
    told: list[TrainingEvent] = []
    (root / "broken.npz").write_bytes(b"no archive")
    sources = [Place(path=root / "broken.npz", name="sets/broken.npz")]
    bounds = BoundsJob(sources=sources, encoder=ENCODER, out=root / "bounds.safetensors")
    assert carry_out(bounds, told.append) == "failed"
    assert isinstance(told[-1], Failed)
    assert told[-1].code == "source"
    assert told[-1].message.startswith("sets/broken.npz")


def test_bytes_of_a_file_name_that_are_no_text_are_told_as_escapes(root: Path) -> None:
    events = EventLog(root / EVENTS)
    bounds = BoundsJob(
        sources=[Place(path=root / "caf\udce9")], encoder=ENCODER, out=root / "bounds.safetensors"
    )
    assert carry_out(bounds, events.tell) == "failed"
    events.close()
    (failed,) = EventReader(root / EVENTS).new()
    assert isinstance(failed, Failed)
    assert failed.code == "source"
    assert "caf\\udce9" in failed.message


def test_what_nobody_foresaw_is_told_as_unexpected_and_raised(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError(f"of {root / 'discs' / '00.png'}")

    monkeypatch.setattr(module, "train", broken)
    told: list[TrainingEvent] = []
    with pytest.raises(RuntimeError):
        carry_out(job(root), told.append)
    assert isinstance(told[-1], Failed)
    assert (told[-1].code, told[-1].message) == ("unexpected", "RuntimeError: of discs/00.png")
