import json
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from imago_engine.generators import GeneratorInfo
from imago_engine.training.command_line.printer import Printer
from imago_engine.training.command_line.table import ProgressTable
from imago_engine.training.results.card import TrainingRecord, read_log, write_card
from imago_engine.training.results.event_file import EventFile
from imago_engine.training.results.journal import Journal
from imago_engine.training_events import Progress, Sample, TrainingEvent


def events_of(folder: Path) -> list[Event]:
    """Of all event files, in the order in which they were written: TFRecords of serialized events."""
    events = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack_from("<Q", content, at)
            events.append(Event.FromString(content[at + 12 : at + 12 + size]))
            at += 12 + size + 4
    return events


def losses(journal: Journal, pictures: int) -> None:
    progress = {"rate": 20.0, "waiting": 0.01, "done": 0.5, "left": 3725.0}
    journal.progress(Progress.model_validate({"pictures": pictures, "losses": {"layout": 0.25}, **progress}))


def test_losses_go_to_the_log_to_tensorboard_and_to_the_terminal(tmp_path: Path) -> None:
    said: list[str] = []
    journal = Journal(tmp_path, Printer(said.append).tell)
    losses(journal, 64)
    journal.sample(64, {"pixels": 0.0688}, np.full((8, 16, 3), 200, np.uint8))
    journal.close()

    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [list(entry) for entry in log] == [
        ["pictures", "time", "rate", "layout"],
        ["pictures", "time", "held_out"],
    ]
    values = {
        value.tag: (event.step, value)
        for event in events_of(tmp_path / "tensorboard")
        for value in event.summary.value
    }
    assert {step for step, _ in values.values()} == {64}
    assert values["loss/layout"][1].simple_value == 0.25
    assert values["held_out/pixels"][1].simple_value == np.float32(0.0688)
    assert values["speed/waiting_for_data"][1].simple_value == np.float32(0.01)
    assert (values["held_out"][1].image.height, values["held_out"][1].image.width) == (8, 16)
    with Image.open(tmp_path / "grids" / "000000064.png") as grid:
        assert grid.size == (16, 8)
    assert said[0].split() == ["pictures", "done", "pictures/s", "left", "waiting", "layout"]
    assert said[1].split() == ["64", "50.0%", "20.0", "1:02:05", "1.0%", "0.25"]
    assert said[2:] == ["held out: pixels 0.0688"]


def test_a_sample_names_its_grid_once_that_is_whole_and_none_that_could_not_be_drawn(
    tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    told: list[TrainingEvent] = []
    journal = Journal(tmp_path, told.append)
    noise = np.random.default_rng(0).integers(0, 256, (8, 16, 3)).astype(np.uint8)
    journal.sample(8, {"pixels": 0.5}, noise)
    with file_size_limit(16):
        journal.sample(16, {"pixels": 0.25}, noise)
    journal.sample(24, {"pixels": float("nan")}, None)
    journal.close()
    samples = [event for event in told if isinstance(event, Sample)]
    assert [(sample.pictures, sample.grid) for sample in samples] == [
        (8, "grids/000000008.png"),
        (16, None),
        (24, None),
    ]


def test_a_table_is_aligned_and_says_its_header_again_every_twenty_rows() -> None:
    said: list[str] = []
    table = ProgressTable(said.append)
    for i in range(41):
        table.row({"pictures": f"{10**i % 10**8:,}", "a long name of a loss": "0.5"})
    assert len({len(line) for line in said}) == 1
    assert [i for i, line in enumerate(said) if "pictures" in line] == [0, 21, 42]


def test_an_event_file_that_could_not_be_written_is_followed_by_another_that_can(
    tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    said: list[str] = []
    journal = Journal(tmp_path, Printer(said.append).tell)
    losses(journal, 8)
    with file_size_limit(1):
        losses(journal, 16)
    losses(journal, 24)
    journal.close()
    assert sum("its log cannot be written" in line for line in said) == 2  # the log and TensorBoard
    assert {entry["pictures"] for entry in read_log(tmp_path)} >= {8, 24}
    files = sorted((tmp_path / "tensorboard").iterdir())
    last = max(files, key=lambda path: path.name)
    steps = {event.step for event in events_of(tmp_path / "tensorboard") if event.summary.value}
    assert len(files) >= 2
    assert last.stat().st_size > 0
    assert steps >= {8, 24}


def test_a_resumed_run_hides_the_steps_that_were_computed_in_vain(tmp_path: Path) -> None:
    for step in (8, 4):
        file = EventFile(tmp_path)
        file.scalars(step, {"a": 1.0})
        file.close()
    starts = [event.step for event in events_of(tmp_path) if event.HasField("session_log")]
    assert starts == [8, 4]  # TensorBoard forgets what comes after a start


INFO = GeneratorInfo(
    architecture="compact", arguments={"code_size": 8}, code_shape=(8,), image_size=32,
    pixels="rgb_unit_tanh", encoder="lite0", encoder_layer="pool",
    encoder_sha256="0" * 64, recommended={"steps": 80},
    training={
        "preset": "default", "sources": ["birds.tar"], "train_pictures": 1000, "held_out_pictures": 10,
        "encoder_input_size": 128, "pictures_seen": 4000, "steps": 125, "hours": 0.5,
        "computed_on": "CPU (2 cores), float32", "command": "python -m imago_engine.training train birds.tar",
        "warm_start": None,
    },
)  # fmt: skip
LOG = [{"pictures": 40 * i, "held_out": {"pixels": i / 1000}} for i in range(200)]


def test_a_card_says_what_the_training_was(tmp_path: Path) -> None:
    (tmp_path / "birds.safetensors").write_bytes(b"weights")
    last = {"pictures": 4000, "time": 0.0, "rate": 20.0, "layout": 0.125}
    options = {"batch": 32, "second_weights": "../nets/squeezenet.safetensors"}
    record = TrainingRecord(options, corrupt_pictures=3, log=[*LOG, last])
    text = write_card(tmp_path / "birds.safetensors", INFO, record).read_text()
    assert text.startswith("# birds\n")
    for fact in (
        "`birds.tar`: 1,000 pictures trained on, 10 held out, 3 could not be decoded",
        "preset `default`, 125 steps, 4,000 pictures seen (4.0 times each), 0.5 hours",
        "python -m imago_engine.training train birds.tar",
        "Losses at the end: layout 0.125.",
        "batch 32, second_weights squeezenet.safetensors",
    ):
        assert fact in text
    figures = [line for line in text.splitlines() if line.endswith("00 |") or line.startswith("| 4,000")]
    assert "| 4,000 | 0.1000 |" in figures  # of what was exported, not of what came after it
    assert not any("| 4,040" in line for line in text.splitlines())
    assert text.count("| 0.0") <= 13


def test_what_people_wrote_on_a_card_stays(tmp_path: Path) -> None:
    file = tmp_path / "birds.safetensors"
    file.write_bytes(b"weights")
    (tmp_path / "birds.md").write_text("# Birds\n\nMine.\n")
    record = TrainingRecord({"batch": 32}, 0, [])
    path = write_card(file, INFO, record)
    path.write_text(path.read_text() + "\nMore of mine.\n")
    once = path.read_text()
    write_card(file, INFO, TrainingRecord({"batch": 64}, 0, []))
    twice = path.read_text()
    assert once.startswith("# Birds\n\nMine.\n")
    assert "batch 32" in once
    assert twice == once.replace("batch 32", "batch 64")
