"""An inspection in a thread of its own: it can be held up, while someone waits, and left behind when it
hangs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from worker.leasing.hang_detection import HangDetector

T = TypeVar("T")


class Inspection(Generic[T]):
    """Loads and runs a network that nobody has seen before. Downloads, and what third-party code does, cannot
    be interrupted; but between two modules of a network that runs, the thread waits while it is `held_up`."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._hang_detector = HangDetector()
        self._go_on = threading.Event()
        self._go_on.set()
        self._ended = threading.Event()
        self._result: list[T] = []
        self._error: BaseException | None = None
        # Its own: where the process ends, nothing waits for it.
        self._thread = threading.Thread(target=self._run, name="inspection", daemon=True)
        self._thread.start()

    @property
    def hangs(self) -> bool:
        """Whether it has not used the processor for so long that it never will again."""
        return self._hang_detector.hangs

    def wait(self, seconds: float) -> bool:
        """Wait for its end, so long at most; whether it has ended."""
        return self._ended.wait(seconds)

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """While this is open, it stops at the next module that it runs."""
        self._go_on.clear()
        try:
            with self._hang_detector.suspended():
                yield
        finally:
            self._go_on.set()

    def result(self) -> T:
        """What it found, once it has ended. Raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        between = register_module_forward_pre_hook(self._between)
        try:
            with self._hang_detector.busy():
                self._result.append(self._look())
        except BaseException as error:
            self._error = error
        finally:
            between.remove()
            self._ended.set()

    def _between(self, module: nn.Module, inputs: object) -> None:
        # Called for every module of the process; others' threads do not wait for this one's turn.
        if threading.current_thread() is self._thread:
            self._go_on.wait()
