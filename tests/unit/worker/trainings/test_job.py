"""A request becomes a job that the engine takes, with the names of whoever asked."""

from datetime import UTC, datetime
from pathlib import Path

from imago_engine.training.command_line.command_of import command_of
from imago_engine.training_jobs import DataPlan, NewTraining, TrainJob, read_job, write_job
from imago_engine.trainings import DeepsimSettings, DefaultSettings
from services.base.settings import Settings
from services.trainings.request import TrainingRequest
from worker.trainings.job import training_job


def made(root: Path, *, begins: bool = True, start: Path | None = None, **fields: object) -> TrainJob:
    settings = Settings(
        database_url="postgresql://x", broker_url="redis://x", s3_endpoint_url="http://x",
        s3_access_key="x", s3_secret_key="x", data_root=root, largest_picture_mib=3, threads=2, device="cpu",
    )  # fmt: skip
    request = TrainingRequest.model_validate({"sources": ["sets/birds"], "pictures": 1000, **fields})
    sources, folder = [root / "sets" / "birds"], root / "run"
    return training_job(request, settings, folder=folder, sources=sources, begins=begins, warm_start=start)


def new(job: TrainJob) -> tuple[DataPlan, NewTraining]:
    assert job.data is not None
    assert job.begin is not None
    return job.data, job.begin


def test_what_was_asked_for_is_settled_in_the_job(tmp_path: Path) -> None:
    job = made(
        tmp_path,
        start=tmp_path / "abc",
        warm_start="older",
        encoder={"network": "resnet18.a1_in1k", "layer": "layer2", "input_size": 96, "grid": 4},
        image_size=32,
        batch=16,
        learning_rate=0.001,
        feature_size=48,
        seed=3,
        held_out=64,
        minimum=128,
        corrupt_share=0.5,
        until="2040-01-01T00:00:00+00:00",
        checkpoint_seconds=7,
        sample_seconds=5,
        precision="bfloat16",
        options={"layout_weight": 3, "average_decay": 0.99},
    )
    data, begin = new(job)
    encoder = data.encoder
    assert (encoder.network, encoder.layer, encoder.input_size, encoder.grid) == (
        *("resnet18.a1_in1k", "layer2", 96, 4),
    )
    assert (data.image_size, data.held_out, data.minimum, data.corrupt_share) == (32, 64, 128, 0.5)
    assert begin.settings == DefaultSettings(
        batch=16, learning_rate=0.001, feature_size=48, seed=3, layout_weight=3, average_decay=0.99
    )
    assert (job.pictures, job.until) == (1000, datetime(2040, 1, 1, tzinfo=UTC))
    assert (job.checkpoint_seconds, job.sample_seconds, job.log_seconds) == (7, 5, 5)
    assert (job.precision, job.threads, job.device) == ("bfloat16", 2, "cpu")
    write_job(job, tmp_path / "job.json")
    assert read_job(tmp_path / "job.json") == job


def test_what_was_not_asked_for_is_as_the_preset_has_it(tmp_path: Path) -> None:
    data, begin = new(made(tmp_path))
    assert (data.image_size, data.encoder.input_size, data.encoder.layer) == (128, 128, "bn2")
    assert begin.settings == DefaultSettings()
    data, begin = new(made(tmp_path, preset="deepsim", options={"halve_at": [100, 200]}))
    assert (data.image_size, data.encoder.input_size) == (256, None)
    assert begin.settings == DeepsimSettings(halve_at=[100, 200])


def test_a_training_that_goes_on_has_its_settings_from_the_checkpoint_and_may_prepare_again(
    tmp_path: Path,
) -> None:
    job = made(tmp_path, begins=False, warm_start="older")
    assert job.begin is None
    assert job.data is not None


def test_a_worker_says_what_its_trainings_may_read(tmp_path: Path) -> None:
    data, _ = new(made(tmp_path))
    reading = data.reading
    assert reading.data_root is not None
    assert (reading.data_root.path, reading.largest_picture_mib) == (tmp_path, 3)
    assert reading.largest_archive_gib == 64


def test_the_command_that_a_generator_remembers_has_the_names_of_whoever_asked(tmp_path: Path) -> None:
    command = command_of(made(tmp_path, start=tmp_path / "abc", warm_start="older", seed=5))
    assert command[:4] == ["train", "sets/birds", "--run", "RUN"]
    assert command[command.index("--warm-start") + 1] == "older.safetensors"
    assert str(tmp_path) not in " ".join(command)
