import argparse
import itertools
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from imago_engine.training.arguments import build_parser
from services.base.settings import Settings
from services.trainings.request import TrainingRequest
from worker.trainings.process import (
    TrainingProcess,
    prepare_arguments,
    reading_arguments,
    resume_arguments,
    train_arguments,
)

ROOT = Path(__file__).resolve().parents[3]


def request(**fields: object) -> TrainingRequest:
    return TrainingRequest.model_validate({"sources": ["birds"], "pictures": 1000, **fields})


def ended(process: TrainingProcess) -> int:
    deadline = time.monotonic() + 300
    try:
        while (code := process.exit_code) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return code
    finally:
        process.kill()


def test_a_request_becomes_the_commands_own_options(tmp_path: Path) -> None:
    asked = request(
        encoder={"network": "resnet18.a1_in1k", "layer": "layer2", "input_size": 96, "grid": 4},
        image_size=32,
        batch=16,
        learning_rate=0.001,
        feature_size=48,
        seed=3,
        held_out=64,
        minimum=128,
        until="2040-01-01T00:00:00+00:00",
        checkpoint_seconds=7,
        precision="bfloat16",
        corrupt_share=0.5,
        options={"layout_weight": 3, "average_decay": 0.99},
    )
    arguments = train_arguments(asked, [str(tmp_path / "a")], str(tmp_path / "run"), "start.safetensors")
    given = dict(itertools.pairwise(arguments))
    assert (given["--encoder"], given["--encoder-layer"]) == ("resnet18.a1_in1k", "layer2")
    assert (given["--encoder-size"], given["--image-size"], given["--batch"]) == ("96", "32", "16")
    assert (given["--learning-rate"], given["--feature-size"], given["--seed"]) == ("0.001", "48", "3")
    assert (given["--held-out"], given["--minimum"], given["--pictures"]) == ("64", "128", "1000")
    assert (given["--encoder-grid"], given["--precision"], given["--corrupt-share"]) == (
        "4",
        "bfloat16",
        "0.5",
    )
    assert (given["--layout-weight"], given["--average-decay"]) == ("3", "0.99")
    assert given["--warm-start"] == "start.safetensors"
    assert (given["--until"], given["--checkpoint-every"]) == ("2040-01-01T00:00:00+00:00", "7")
    # It gets as far as its sources only if it has taken all the options.
    process = TrainingProcess(arguments, tmp_path, threads=1, device="cpu")
    assert ended(process) == 1
    assert "does not exist; expected an image folder" in process.last_words()


def test_an_option_of_several_values_becomes_several_arguments(tmp_path: Path) -> None:
    options = {"halve_at": [100, 200], "comparator": "resnet18.a1_in1k", "comparator_layer": None}
    arguments = train_arguments(
        request(preset="deepsim", options=options), ["nowhere"], str(tmp_path / "run")
    )
    at = arguments.index("--halve-at")
    assert arguments[at : at + 4] == ["--halve-at", "100", "200", "--comparator"]
    assert "--comparator-layer" not in arguments
    process = TrainingProcess(arguments, tmp_path, threads=1, device="cpu")
    assert ended(process) == 1
    assert "does not exist; expected an image folder" in process.last_words()


def test_preparing_alone_ends_before_the_first_step_and_resuming_keeps_the_deadline() -> None:
    asked = request(until="2040-01-01T00:00:00+00:00")
    assert prepare_arguments(asked, ["a"], "run")[-2:] == ["--until", "1970-01-01T00:00"]
    resumed = resume_arguments(asked, "run")
    assert resumed[:4] == ["resume", "run", "--pictures", "1000"]
    assert "--until" not in resumed


def test_what_was_not_asked_for_is_left_to_the_command() -> None:
    arguments = train_arguments(request(), ["a"], "run")
    for option in (
        "--image-size",
        "--encoder-size",
        "--batch",
        "--preset",
        "--until",
        "--seed",
        "--warm-start",
    ):
        assert option not in arguments


def test_a_worker_says_what_its_trainings_may_read(tmp_path: Path) -> None:
    settings = Settings(
        database_url="postgresql://x", broker_url="redis://x", s3_endpoint_url="http://x",
        s3_access_key="x", s3_secret_key="x", data_root=tmp_path, largest_picture_mib=3,
    )  # fmt: skip
    command = [*train_arguments(request(), [str(tmp_path)], "run"), *reading_arguments(settings)]
    given = build_parser(dict.fromkeys(("train", "resume", "export", "bounds"), _nothing)).parse_args(command)
    assert (given.data_root, given.largest_picture, given.largest_archive) == (tmp_path, 3, 64)


def _nothing(options: argparse.Namespace, arguments: list[str]) -> int:
    return 0


def test_its_last_words_are_the_reason(tmp_path: Path) -> None:
    absent = str(tmp_path / "nowhere")
    process = TrainingProcess(["train", absent, "--run", str(tmp_path)], tmp_path, threads=1, device="cpu")
    assert ended(process) == 1
    assert process.last_words().startswith(f"error: {absent} does not exist")


def test_it_gets_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGO_S3_SECRET_KEY", "secret")
    process = TrainingProcess(["bounds", "x", "--out", "y"], tmp_path, threads=1, device="cpu")
    process.pause()
    assert "IMAGO_S3_SECRET_KEY" not in psutil.Process(process.pid).environ()
    process.kill()
    assert process.last_words().startswith("The training's process was ended by SIGKILL")


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_it_does_not_outlive_its_worker(tmp_path: Path) -> None:
    worker = f"""
import time
from pathlib import Path
from worker.trainings.process import TrainingProcess
process = TrainingProcess(["bounds", "--help"], Path({str(tmp_path)!r}), threads=None, device="cpu")
process.pause()
print(process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", worker], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        training = psutil.Process(int(run.stdout.readline()))
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    # Stopped before it could ask the kernel it now finds its worker gone; later, the kernel has ended it.
    with suppress(psutil.NoSuchProcess):
        training.send_signal(signal.SIGCONT)
    training.wait(60)
