import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from imago_engine.training_events import EventReader, Failed
from imago_engine.training_jobs import BoundsJob, Place, write_job
from imago_engine.trainings import EncoderRequest
from worker.trainings.process import TrainingProcess

ROOT = Path(__file__).resolve().parents[4]


def ended(process: TrainingProcess) -> int:
    deadline = time.monotonic() + 300
    try:
        while (code := process.exit_code) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return code
    finally:
        process.kill()


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Of pictures that are not there."""
    encoder = EncoderRequest(layer="global_pool")
    sources = [Place(path=tmp_path / "nowhere", name="birds")]
    bounds = BoundsJob(sources=sources, encoder=encoder, out=tmp_path / "bounds.safetensors")
    write_job(bounds, tmp_path / "job.json")
    return tmp_path / "job.json"


def test_its_events_say_why_it_failed(job: Path) -> None:
    assert ended(TrainingProcess(job)) != 0
    (failed,) = EventReader(job.with_name("events.jsonl")).new()
    assert isinstance(failed, Failed)
    assert failed.code == "source"
    assert failed.message.startswith("birds does not exist")


def test_a_job_that_is_none_ends_without_an_event(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"do": "nothing"}')
    process = TrainingProcess(tmp_path / "job.json")
    assert ended(process) != 0
    assert EventReader(tmp_path / "events.jsonl").new() == []
    assert process.how_it_ended() == "The training's process ended with status 1, and did not say why."
    assert "'do'" in process.stderr_tail()


def test_it_gets_no_keys(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGO_S3_SECRET_KEY", "secret")
    process = TrainingProcess(job)
    process.pause()
    assert "IMAGO_S3_SECRET_KEY" not in psutil.Process(process.pid).environ()
    process.kill()
    assert process.how_it_ended().startswith("The training's process was ended by SIGKILL")


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_it_does_not_outlive_its_worker(job: Path) -> None:
    worker = f"""
import time
from pathlib import Path
from worker.trainings.process import TrainingProcess
process = TrainingProcess(Path({str(job)!r}))
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
