"""Several devices in one machine: one worker each, started and kept by one command.

Each worker is told of its own device only. A GPU is chosen by `CUDA_VISIBLE_DEVICES`, so that neither the
worker nor a training that it starts can touch another one; indices of `cpu` mean nothing but one worker more.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

import structlog

from worker.process.stopping import StopFlag

NOTICE_SECONDS = 0.2
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a worker that ended by itself is started again; doubled each time that it ended soon."""
SOON_SECONDS = 60.0
PATIENCE_SECONDS = 5.0
"""How much longer than `stop_seconds` workers are waited for before they are killed."""
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_PR_SET_PDEATHSIG = 1
log = structlog.get_logger()


class NoSuchDevice(ValueError):
    """The message names what there is."""


def environment_of(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to the environment of a worker for one device, such as `cuda:1`. Raises `NoSuchDevice`."""
    kind, _, index = device.partition(":")
    if kind != "cuda" or not index:
        return {"IMAGO_DEVICE": kind}
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return {"IMAGO_DEVICE": kind, "CUDA_VISIBLE_DEVICES": index}
    there = visible.split(",")
    if int(index) >= len(there):
        raise NoSuchDevice(f"{device} is not there: CUDA_VISIBLE_DEVICES is {visible!r}")
    return {"IMAGO_DEVICE": kind, "CUDA_VISIBLE_DEVICES": there[int(index)]}


class _Kept:
    """The worker of one device."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._environment = {**os.environ, **environment_of(device, os.environ)}
        self._pause = FIRST_PAUSE
        self._again_at: float | None = None
        self._start()

    def _start(self) -> None:
        self._again_at = None
        self._began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "worker"], env=self._environment, preexec_fn=_end_with_parent
        )
        log.info("worker_started", device=self.device, pid=self.process.pid)

    def see_to_it(self) -> None:
        """Start it again, some time after it has ended by itself."""
        if self._again_at is not None:
            if time.monotonic() >= self._again_at:
                self._start()
        elif self.process.poll() is not None:
            now = time.monotonic()
            soon = now - self._began < SOON_SECONDS
            self._pause = min(2 * self._pause, LONGEST_PAUSE) if soon else FIRST_PAUSE
            self._again_at = now + self._pause
            log.warning("worker_ended", device=self.device, status=self.process.returncode, again=self._pause)


def run_one_each(devices: Sequence[str], stop_seconds: float) -> int:
    """Run a worker for each device until SIGTERM, SIGINT or SIGQUIT; returns the exit status.

    Raises `NoSuchDevice`.
    """
    stop = StopFlag()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.ask(stop_seconds + PATIENCE_SECONDS)

    for number in _STOPPING:
        signal.signal(number, ask)
    kept = [_Kept(device) for device in devices]
    while not stop.wait(NOTICE_SECONDS):
        for worker in kept:
            worker.see_to_it()
    running = [worker.process for worker in kept if worker.process.poll() is None]
    for process in running:
        process.terminate()
    while not stop.out_of_time and any(process.poll() is None for process in running):
        time.sleep(NOTICE_SECONDS)
    for process in running:
        if process.poll() is None:
            log.warning("worker_killed", pid=process.pid)
            process.kill()
            process.wait()
    return 0


def _end_with_parent() -> None:
    """Have the kernel ask this worker to stop when the command that keeps it is killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
