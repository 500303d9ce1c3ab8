"""The process that trains: its arguments, its signals and its last words."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from imago_engine.trainings import TrainingChoices
from services.base.settings import Settings
from services.trainings.request import TrainingRequest

_ROOT = Path(__file__).resolve().parents[2]
_SCHEDULE = {"pictures", "sample_seconds", "checkpoint_seconds"}
_OPTIONS = ("preset", *(name for name in TrainingChoices.model_fields if name not in _SCHEDULE))
"""Fields of a request that are options of the command, passed on where they were given."""


def reading_arguments(settings: Settings) -> list[str]:
    """What this worker allows its trainings to read; appended to `train`, and not part of the request."""
    limits = [
        "--largest-picture", str(settings.largest_picture_mib),
        "--largest-archive", str(settings.largest_archive_gib),
    ]  # fmt: skip
    return (
        limits if settings.data_root is None else ["--data-root", str(settings.data_root.resolve()), *limits]
    )


def train_arguments(
    request: TrainingRequest, sources: Sequence[str], run: str, warm_start: str | None = None
) -> list[str]:
    """`train` with all that was asked for; `sources`, `run` and the generator file to start from are paths as
    the command is to see them."""
    encoder = request.encoder
    arguments = ["train", *sources, "--run", run]
    arguments += ["--encoder", encoder.network, "--encoder-layer", encoder.layer]
    if encoder.input_size is not None:
        arguments += ["--encoder-size", str(encoder.input_size)]
    if encoder.grid is not None:
        arguments += ["--encoder-grid", str(encoder.grid)]
    if warm_start is not None:
        arguments += ["--warm-start", warm_start]
    for name, value in {**{name: getattr(request, name) for name in _OPTIONS}, **request.options}.items():
        if value is not None:
            values = value if isinstance(value, list) else [value]
            arguments += [f"--{name.replace('_', '-')}", *map(str, values)]
    return arguments + _schedule(request)


def prepare_arguments(request: TrainingRequest, sources: Sequence[str], run: str) -> list[str]:
    """`train` that ends before its first step, once the data are prepared."""
    return [*train_arguments(request, sources, run), "--until", "1970-01-01T00:00"]


def resume_arguments(request: TrainingRequest, run: str) -> list[str]:
    """`resume`. A deadline is in the checkpoint; given again it would begin the schedule anew."""
    plan = [] if request.pictures is None else ["--pictures", str(request.pictures)]
    return ["resume", run, *plan, *_pace(request)]


def _schedule(request: TrainingRequest) -> list[str]:
    schedule = [] if request.pictures is None else ["--pictures", str(request.pictures)]
    if request.until is not None:
        schedule += ["--until", request.until.isoformat()]
    return schedule + _pace(request)


def _pace(request: TrainingRequest) -> list[str]:
    return [
        "--checkpoint-every", str(request.checkpoint_seconds),
        "--sample-every", str(request.sample_seconds),
        "--log-every", str(min(10, request.sample_seconds)),
    ]  # fmt: skip


class TrainingProcess:
    """`python -m imago_engine.training` in a session of its own, tied to this process."""

    def __init__(self, arguments: Sequence[str], folder: Path, *, threads: int | None, device: str) -> None:
        """What it says goes to files in `folder`. Make it in a thread that lives as long as it should: the
        kernel ends it with that thread."""
        self._errors = folder / "stderr"  # of this process alone: its last words are no earlier one's
        # Nothing of ours: it needs no servers, so it gets no keys to them.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("IMAGO_")}
        if device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        command = [sys.executable, "-m", "worker.process.parent_watch", *arguments]
        if threads is not None:
            command += ["--threads", str(threads)]
        with (folder / "stdout").open("ab") as output, self._errors.open("wb") as errors:
            self._process = _popen(command, {**environment, "IMAGO_PARENT": str(os.getpid())}, output, errors)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """SIGTERM: it saves its state and ends with 130, or by the signal where there is nothing to save."""
        self._send(signal.SIGTERM)

    def pause(self) -> None:
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End it, and whatever it has started, at once."""
        if self._process.poll() is None:
            self._send(signal.SIGKILL)
            self._process.wait()

    def last_words(self) -> str:
        """The last line that it wrote to stderr, or how it ended where it wrote none or was killed."""
        code = self.exit_code
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = ", most likely because memory ran out" if -code == signal.SIGKILL else ""
            return f"The training's process was ended by {name}{hint}."
        lines = [line.strip() for line in self._errors.read_text(errors="replace").splitlines()]
        said = [line for line in lines if line]
        return said[-1][:1000] if said else f"The training's process ended with status {code}."

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _popen(
    command: list[str], environment: dict[str, str], output: IO[bytes], errors: IO[bytes]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )
