"""Trainings as people run them: processes that are stopped, killed and multiplied."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from imago_engine.training.command import main
from imago_engine.training.run.checkpoint import read_facts
from imago_engine.training.run.tuning import SETTINGS
from tests import thin_deepsim
from tests.unit.engine.training.conftest import drawn

SMALL = [
    *("--threads", "1", "--device", "cpu", "--log-every", "0", "--minimum", "16", "--held-out", "8"),
    *(
        "--image-size",
        "32",
        "--encoder-size",
        "32",
        "--encoder-layer",
        "global_pool",
        "--feature-size",
        "32",
        "--batch",
        "8",
        "--width",
        "0.125",
    ),
]
AGAIN = ["--log-every", "0", "--threads", "1", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i in range(40):
        (folder / f"{i:02d}.png").write_bytes(drawn(i))
    return folder


@pytest.fixture(scope="module")
def begun(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder after two steps."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        run = tmp_path_factory.mktemp("begun") / "run"
        assert main(["train", str(images), "--run", str(run), *SMALL, "--pictures", "16"]) == 0
    return run


@pytest.fixture
def copied(begun: Path, tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(begun, tmp_path / name))


@pytest.fixture
def start() -> Iterator[Callable[[list[str]], "subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []

    def begin(command: list[str]) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def losses(run: Path) -> dict[int, dict[str, float]]:
    """By pictures seen; of steps that were computed twice, the last."""
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {
        entry["pictures"]: {k: v for k, v in entry.items() if k not in ("pictures", "time", "rate")}
        for entry in entries
        if "rate" in entry
    }


def wait_for_pictures(run: Path, pictures: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 300
    while max(losses(run), default=0) < pictures:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the training does not get on"
        time.sleep(0.05)


def weights(run: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(run / "checkpoint.safetensors")
    return {name: tensor for name, tensor in tensors.items() if name.startswith("generator.")}


def test_a_training_killed_at_any_moment_goes_on_to_the_same_bits_as_an_unbroken_one(
    copied: Callable[[str], Path], start: Callable[[list[str]], "subprocess.Popen[str]"]
) -> None:
    killed, unbroken = copied("killed"), copied("unbroken")
    plan = ["--pictures", "120", *AGAIN]  # for all alike: the learning rate follows from it
    process = start(["imago_engine.training", "resume", str(killed), *plan, "--checkpoint-every", "0.5"])
    wait_for_pictures(killed, 48, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_facts(killed / "checkpoint.safetensors")["step"] * 8 < 120
    for run in (killed, unbroken):
        assert main(["resume", str(run), *plan]) == 0
    a, b = (load_file(run / "checkpoint.safetensors") for run in (killed, unbroken))
    torch.testing.assert_close(a, b, atol=0, rtol=0)
    assert losses(killed) == losses(unbroken)


def test_a_stopped_training_says_so_and_has_saved_its_last_step(
    copied: Callable[[str], Path], start: Callable[[list[str]], "subprocess.Popen[str]"]
) -> None:
    run = copied("stopped")
    process = start(["imago_engine.training", "resume", str(run), "--pictures", "80000", *AGAIN])
    wait_for_pictures(run, 32, process)
    process.terminate()
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert read_facts(run / "checkpoint.safetensors")["step"] * 8 == max(losses(run))


@pytest.mark.thorough
def test_two_processes_have_the_losses_of_one_and_go_on_from_each_others_checkpoints(
    copied: Callable[[str], Path], start: Callable[[list[str]], "subprocess.Popen[str]"]
) -> None:
    shared, alone = copied("shared"), copied("alone")
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    process = start([*torchrun, "imago_engine.training", "resume", str(shared), "--pictures", "40", *AGAIN])
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "2 × CPU" in output
    assert output.count("held out:") == 1  # one of them leads
    assert main(["resume", str(alone), "--pictures", "40", *AGAIN]) == 0
    for pictures, expected in losses(alone).items():
        assert losses(shared)[pictures] == pytest.approx(expected, rel=1e-3, abs=1e-5)
    # Adam moves a weight by the learning rate even where rounding alone decides which way.
    torch.testing.assert_close(weights(shared), weights(alone), atol=5e-3, rtol=1e-2)
    assert main(["resume", str(shared), "--pictures", "48", *AGAIN]) == 0
    assert read_facts(shared / "checkpoint.safetensors")["step"] == 6


@pytest.mark.thorough
def test_two_processes_have_the_losses_of_one_where_one_alone_has_codes_without_pictures(
    images: Path, tmp_path: Path, start: Callable[[list[str]], "subprocess.Popen[str]"]
) -> None:
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    # Of the eight rows of a batch the last has no picture: of the pictures the first process has four, the
    # other one three. One of each has a reachable code.
    shares = ["--ascent-share", "0.125", "--reachable-share", "0.3"]
    assert main(["train", str(images), "--run", str(alone), *SMALL, *shares, "--pictures", "8"]) == 0
    shutil.copytree(alone, shared)
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    process = start([*torchrun, "imago_engine.training", "resume", str(shared), "--pictures", "24", *AGAIN])
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert main(["resume", str(alone), "--pictures", "24", *AGAIN]) == 0
    for pictures, expected in losses(alone).items():
        assert losses(shared)[pictures] == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.thorough
def test_two_processes_have_the_losses_of_one_with_preset_deepsim_too(
    tmp_path: Path, start: Callable[[list[str]], "subprocess.Popen[str]"]
) -> None:
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    for folder in (shared, alone):
        folder.mkdir()
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    process = start([*torchrun, "tests.thin_deepsim", str(shared), "2"])
    output, _ = process.communicate()
    assert process.returncode == 0, output
    expected = thin_deepsim.train(alone, 3)
    found = json.loads((shared / "losses.json").read_text())
    assert found.keys() == {"1", "2"}
    assert found["1"]["discriminator_trains"] == 1
    found |= {
        f"{step}": losses for step, losses in thin_deepsim.train(shared, 3).items()
    }  # from its checkpoint
    for step, losses in expected.items():
        assert found[f"{step}"] == pytest.approx(losses, rel=1e-3, abs=1e-5)
