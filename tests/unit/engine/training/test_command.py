import datetime
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imago_engine.synthesis.generators.files import file_sha256, load_generator
from imago_engine.training.command import main
from imago_engine.training.command_line.arguments import build_parser
from imago_engine.training.command_line.command_of import command_of
from imago_engine.training.command_line.job_of import job_of
from imago_engine.training.recipes import projected
from imago_engine.training.results import prior
from imago_engine.training.run.checkpoint import read_facts
from imago_engine.training.run.tuning import SETTINGS
from imago_engine.training_jobs import Place, TrainJob, read_job, write_job
from imago_engine.weights import shipped_generator

SMALL = [
    *("--threads", "1", "--minimum", "16", "--held-out", "8", "--batch", "8"),
    *("--image-size", "32", "--encoder-size", "32", "--encoder-layer", "global_pool", "--feature-size", "32"),
]


@pytest.fixture(autouse=True)
def _tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the process had been started with the settings: it must not replace itself by another."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thin generators, and directions by the estimate, which test_prior.py measures: exact ones of 1280
    dimensions take a second a generator.
    """
    monkeypatch.setattr(projected, "WIDTHS", (24, 16, 8, 8, 8))
    monkeypatch.setattr(prior, "EXACT", 256)


@pytest.fixture
def folder(tmp_path: Path, picture_bytes: Callable[[int], bytes]) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    for i in range(40):
        (images / f"{i:02d}.png").write_bytes(picture_bytes(i))
    return images


def test_a_generator_is_trained_resumed_and_exported_from_a_folder(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    at_the_end = ["--log-every", "3600"]  # however slow the machine is
    assert main(["train", str(folder), "--run", str(run), *SMALL, "--pictures", "16", *at_the_end]) == 0
    assert main(["resume", str(run), "--pictures", "32", "--log-every", "0", "--threads", "1"]) == 0
    assert main(["export", str(run), "--out", str(tmp_path / "g.safetensors")]) == 0

    generator = load_generator(tmp_path / "g.safetensors")
    assert generator(generator.code_mean[None]).shape == (1, 3, 32, 32)
    assert generator.info.encoder_layer == "global_pool"
    training = generator.info.training
    assert (training["pictures_seen"], training["train_pictures"]) == (32, 36)
    assert training["command"].startswith("python -m imago_engine.training train ")
    assert "36 pictures trained on" in (tmp_path / "g.md").read_text()
    assert load_generator(run / "generator.safetensors").info.training["pictures_seen"] == 32
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["pictures"] for entry in log if "rate" in entry] == [16, 24, 32]
    measured = [entry["held_out"]["pixels"] for entry in log if "held_out" in entry]
    assert measured
    assert np.isfinite(measured).all()


def test_a_training_starts_from_a_generator_of_its_kind_and_from_no_other(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["train", str(folder), "--run", str(first), *SMALL, "--pictures", "16"]) == 0
    warm = ["--warm-start", str(first / "generator.safetensors")]
    # A plan of which nothing is left: what is saved is what it started from.
    ended = ["--until", "1970-01-01T00:00"]
    assert main(["train", str(folder), "--run", str(second), *SMALL, *warm, *ended]) == 0
    weights = load_file(first / "generator.safetensors")
    saved = load_file(second / "checkpoint.safetensors")
    for part in ("generator", "average"):
        own = saved[f"{part}.to_rgb.weight"]
        torch.testing.assert_close(own, weights["network.to_rgb.weight"].float())
    card = (second / "generator.md").read_text()
    assert f"a generator, sha256 `{file_sha256(first / 'generator.safetensors')}`" in card

    other = ["--encoder-layer", "blocks.2"]
    assert main(["train", str(folder), "--run", str(tmp_path / "third"), *SMALL, *other, *warm]) == 1
    assert "expected a generator of codes like [40, 4, 4] from layer blocks.2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], ("bn2", 2)),
        (["--encoder-grid", "4"], ("bn2", 4)),
        (["--encoder-layer", "blocks.6"], ("blocks.6", None)),
        (["--encoder", "resnet18.IMAGENET1K_V1"], ("global_pool", None)),
    ],
)
def test_the_code_that_measured_best_is_taken_where_none_is_named(
    given: list[str], code: tuple[str, int | None]
) -> None:
    job = train_job(given)
    assert job.data is not None
    assert (job.data.encoder.layer, job.data.encoder.grid) == code


def test_second_weights_may_lie_elsewhere_where_a_training_or_a_burst_goes_on(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").touch()
    for command in (["resume", str(tmp_path)], ["burst", "--run", str(tmp_path)]):
        job = job_of(build_parser().parse_args([*command, "--second-weights", "judge.safetensors"]))
        assert isinstance(job, TrainJob)
        assert job.begin is None
        assert job.second_weights == Place(path=Path("judge.safetensors"))
    begun = train_job(
        ["--second-network", "torchvision:squeezenet1_1", "--second-weights", "nets/j.safetensors"]
    )
    assert begun.second_weights == Place(path=Path("nets/j.safetensors"))


def train_job(given: list[str]) -> TrainJob:
    job = job_of(build_parser().parse_args(["train", "pictures", "--run", "run", *given]))
    assert isinstance(job, TrainJob)
    return job


OF_ANY_PRESET = [
    *("--encoder", "resnet18.a1_in1k", "--encoder-layer", "layer2", "--encoder-size", "96"),
    *("--encoder-grid", "4", "--batch", "16", "--learning-rate", "0.001", "--feature-size", "64"),
    *("--seed", "3", "--held-out", "64", "--minimum", "128", "--corrupt-share", "0.5"),
    *("--precision", "bfloat16", "--until", "2040-01-01T00:00:00+00:00", "--warm-start", "start.safetensors"),
    *("--pictures", "1000"),
]


@pytest.mark.parametrize(
    "given",
    [
        ["--preset", "default"],
        [*OF_ANY_PRESET, "--image-size", "32", "--layout-weight", "3.0", "--average-decay", "0.99"],
        [
            *OF_ANY_PRESET,
            "--preset",
            "deepsim",
            "--halve-at",
            "100",
            "200",
            "--comparator",
            "resnet18.a1_in1k",
        ],
    ],
)
def test_the_command_of_a_job_makes_the_same_job_and_tells_all_that_was_given(given: list[str]) -> None:
    job = train_job(given)
    command = command_of(job)
    assert job_of(build_parser().parse_args(command)) == job
    assert set(given) <= set(command)


def test_a_job_is_what_it_was_once_it_is_written_and_read(tmp_path: Path) -> None:
    for job in (
        train_job(OF_ANY_PRESET),
        job_of(build_parser().parse_args(["resume", "run", "--checkpoint-every", "0.5"])),
        job_of(build_parser().parse_args(["export", "run", "--out", "g", "--recommended", '{"steps": 3}'])),
        job_of(build_parser().parse_args(["bounds", "pictures", "--out", "bounds"])),
        job_of(build_parser().parse_args(["pack", "a", "b", "--out", "p.npz", "--weight", "b=2"])),
    ):
        write_job(job, tmp_path / "job.json")
        assert read_job(tmp_path / "job.json") == job


def test_codes_that_keep_their_layout_are_inverted_place_by_place(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    layout = ["--encoder-layer", "bn2", "--encoder-size", "64", "--encoder-grid", "2"]
    assert main(["train", str(folder), "--run", str(run), *SMALL, *layout, "--pictures", "16"]) == 0
    info = load_generator(run / "generator.safetensors").info
    assert info.code_shape == (1280, 2, 2)
    assert (info.arguments["code_size"], info.arguments["places"]) == (1280, 2)
    assert "layer `bn2` averaged to 2×2 places" in (run / "generator.md").read_text()


def test_prepared_data_are_used_again_only_as_they_were_asked_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", str(folder), "--run", str(run), *SMALL, "--until", "1970-01-01T00:00"]) == 0
    (run / "checkpoint.safetensors").unlink()
    assert main(["train", str(folder), "--run", str(run), *SMALL, "--encoder-size", "48"]) == 1
    error = capsys.readouterr().err
    assert "'encoder_input_size': 32" in error
    assert "expected the same options, or another --run" in error


def test_a_full_disk_while_pictures_are_prepared_is_an_error_that_names_the_file(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file_size_limit: Callable[[int], AbstractContextManager[None]],
) -> None:
    with file_size_limit(1 << 14):
        assert main(["train", str(folder), "--run", str(tmp_path / "run"), *SMALL]) == 1
    assert "images.npy" in capsys.readouterr().err


def test_a_burst_trains_until_its_time_is_up_and_goes_on_where_it_was_cut_off(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed, run = tmp_path / "packed.npz", tmp_path / "run"
    assert main(["pack", str(folder), "--out", str(packed), "--mib", "1", "--size", "32"]) == 0
    burst = ["burst", str(packed), "--run", str(run), *SMALL, "--minutes", "0.1"]
    assert main(burst) == 0
    first = facts(run)
    assert first["options"]["batch"] == 8
    assert first["options"]["average_decay"] == 0.998
    assert first["precision"] == "bfloat16"
    said = capsys.readouterr().out
    assert "stay in the memory of the device" in said
    assert "a second; waited for data 0.0% of the time" in said
    info = load_generator(run / "generator.safetensors").info
    assert info.training["warm_start"] == file_sha256(shipped_generator())
    assert info.training["sources"] == ["packed.npz"]
    # Cut off and started again, for another while; the pictures are prepared and need no name.
    plan = (first["step"] + 2) * 8  # ends by this, however slow the machine is
    again = ["burst", "--run", str(run), "--threads", "1", "--minutes", "60", "--pictures", str(plan)]
    assert main(again) == 0
    assert facts(run)["step"] == first["step"] + 2
    assert facts(run)["options"] == first["options"]


def facts(run: Path) -> dict[str, Any]:
    return read_facts(run / "checkpoint.safetensors")


def test_a_burst_has_large_batches_of_data_that_stay_on_the_device_and_saves_often() -> None:
    job = job_of(build_parser().parse_args(["burst", "packed.npz", "--run", "run", "--minutes", "12"]))
    assert isinstance(job, TrainJob)
    assert job.begin is not None
    assert job.begin.settings.batch == 256
    assert (job.resident, job.precision, job.checkpoint_seconds) == (True, "bfloat16", 120)
    assert job.begin.warm_start is not None
    assert job.until is not None
    left = job.until - datetime.datetime.now(datetime.UTC)
    assert 0 < left.total_seconds() <= 12 * 60


def test_a_burst_without_pictures_and_without_a_training_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["burst", "--run", str(tmp_path / "run")]) == 1
    assert "holds no training yet: name pictures to begin one with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--weight", "cats=2"], "--weight cats: no source has this name; expected one of images"),
        (["--weight", "images=-1"], "should be greater than 0"),
        (["--mib", "0"], "--mib: should be greater than or equal to 1"),
    ],
)
def test_a_packing_that_cannot_be_is_one_line_and_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    assert main(["pack", str(folder), "--out", str(tmp_path / "x.npz"), *change]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_sources_of_one_name_are_refused_before_anything_is_packed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other" / folder.name
    other.mkdir(parents=True)
    assert main(["pack", str(folder), str(other), "--out", str(tmp_path / "x.npz")]) == 1
    assert f"{folder} and {other} have the same name, {folder.name}" in capsys.readouterr().err
    assert not (tmp_path / "x.npz").exists()


def test_help_is_there_without_torch() -> None:
    code = "import sys; from imago_engine.training.command import main; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bounds_are_measured_over_the_pictures_of_a_folder(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "bounds.safetensors"
    assert (
        main(
            ["bounds", str(folder), "--encoder-layer", "blocks.2", "--encoder-size", "32", "--out", str(out)]
        )
        == 0
    )
    bounds = load_file(out)
    assert {name: tuple(t.shape) for name, t in bounds.items()} == dict.fromkeys(
        ("code_mean", "code_std", "code_lower"), (40, 4, 4)
    )
    assert torch.all(bounds["code_std"] > 0)


def test_a_second_training_does_not_overwrite_the_first(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"precious")
    assert main(["train", str(folder), "--run", str(tmp_path / "run")]) == 1
    assert "already holds a training; go on with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--encoder-layer", "pool9"], "layer 'pool9' does not exist"),
        (["--encoder", "alexnet.nothing"], "alexnet.nothing"),
        (
            ["--preset", "deepsim", "--code-weight", "1"],
            "--code-weight is no option of preset deepsim; it takes",
        ),
        (["--preset", "deepsim", "--image-size", "64"], "preset deepsim makes pictures of 256 pixels"),
        (["--batch", "0"], "--batch: should be greater than or equal to 2; got 0"),
        (["--width", "5"], "--width: should be less than or equal to 4; got 5"),
        (["--held-out", "0"], "--held-out: should be greater than or equal to 8; got 0"),
        (["--encoder-grid", "65"], "--encoder-grid: should be less than or equal to 64; got 65"),
        (["--preset", "deepsim", "--halve-at", "0"], "--halve-at[0]: should be greater than or equal to 1"),
        (
            ["--encoder-layer", "global_pool", "--encoder-grid", "2"],
            "--encoder-grid 2: layer 'global_pool' has no places",
        ),
        (["--encoder-layer", "bn2", "--encoder-grid", "2"], "expected a grid of 1 to 1"),
        (["--encoder-grid", "1"], "36 pictures to train on are too few: at least 256 are needed"),
    ],
)
def test_an_error_is_one_line_for_people(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    arguments = ["train", str(folder), "--run", str(tmp_path / "run"), "--encoder-size", "32", *change]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"do":"tra', "invalid JSON"),
        (b"", "invalid JSON"),
        (b"[]", "should be an object"),
        (b'{"do":"dance"}', "'dance'"),
        (b'{"do":"train","folder":{"path":"x"},"threads":-1}', "train.threads: should be greater than"),
        (b'{"do":"train","folder":{"path":"x"},"extra":1}', "train.extra: is not a known field"),
    ],
)
def test_a_damaged_job_is_one_line_that_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes, message: str
) -> None:
    path = tmp_path / "job.json"
    path.write_bytes(text)
    assert main(["run", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path} is not a job: ")
    assert message in error
    assert error.count("\n") == 1
    assert not path.with_name("events.jsonl").exists()
