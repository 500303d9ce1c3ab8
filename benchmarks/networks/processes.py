"""A process for each trial, ended when it takes too long or too much memory."""

import multiprocessing
import tempfile
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import torch

from benchmarks.networks.trial import Trial, attempt

_IDLE_FACTOR = 20
"""A process that gets so little processor time that it lives this many times its limit is ended too."""


class Processes:
    """`seconds` of processor time and `memory` GB for each, forked from a server that has torch loaded."""

    def __init__(self, seconds: float, memory: float) -> None:
        self._seconds, self._memory = seconds, memory
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["benchmarks.networks.processes"])

    def attempt(self, id: str) -> Trial:
        """Try it. A process that takes too long is a fault, one that takes too much memory is not tried."""
        began = time.monotonic()
        receiver, sender = self._context.Pipe(duplex=False)
        with tempfile.TemporaryDirectory(prefix="imago-sweep-") as folder:
            process = self._context.Process(target=_child, args=(id, Path(folder), sender), daemon=True)
            process.start()
            sender.close()
            try:
                answer = self._watch(psutil.Process(process.pid), receiver, began)
            except (psutil.NoSuchProcess, EOFError):
                answer = ("fault", "its process died")
            finally:
                process.kill()
                process.join()
        if isinstance(answer, Trial):
            return answer
        return Trial(id, *answer, 0, 0, "", 0, "", round(time.monotonic() - began, 1))

    def _watch(self, process: psutil.Process, receiver: Connection, began: float) -> Trial | tuple[str, str]:
        """What it answers, or (outcome, why) for one that is to be ended."""
        while not receiver.poll(0.2):
            times = process.cpu_times()
            used, lived = times.user + times.system, time.monotonic() - began
            if process.memory_info().rss > self._memory * 2**30:
                return "not tried", f"takes more than {self._memory:g} GB"
            if used > self._seconds or lived > _IDLE_FACTOR * self._seconds:
                return "fault", f"not done after {self._seconds:.0f} s"
        answer = receiver.recv()
        return answer if isinstance(answer, Trial) else ("fault", str(answer))


def _child(id: str, folder: Path, answer: Connection) -> None:
    torch.set_num_threads(1)
    try:
        answer.send(attempt(id, folder))
    except BaseException:
        answer.send("traceback: " + traceback.format_exc(limit=-2))
