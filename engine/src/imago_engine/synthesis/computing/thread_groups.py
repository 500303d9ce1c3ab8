"""Groups of items side by side on the cores of a CPU.

A group of a few pictures is too small for several threads to share: on two cores, two threads that compute
one group take as long as one does. One thread a group uses all cores, and no result depends on how many there
are: with more threads, a sum is added up in another order.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from imago_engine.synthesis.computing.freed_memory import keep_freed_memory

Part = TypeVar("Part")
Result = TypeVar("Result")
PAUSE_SECONDS = 1.0
"""The cores wait for the last group before a pause, so pauses are rare; a group takes up to seconds
itself."""


class Run(Protocol):
    def __call__(self, work: Callable[[Part], Result], groups: Sequence[Part]) -> list[Result]:
        """`work` done for every group; the results in the order of the groups. Raises what it raised."""


def groups_at_once(device: torch.device) -> int:
    """How many groups are computed at once: one for each of torch's threads on a CPU, else one."""
    return torch.get_num_threads() if device.type == "cpu" else 1


@contextmanager
def thread_groups(device: torch.device, pause: Callable[[], None] | None = None) -> Iterator[Run]:
    """While it is entered, groups run side by side on a CPU, each in one thread, and in turn elsewhere.

    `pause` is called in the calling thread, about every `PAUSE_SECONDS`, between groups and while no group
    is computed: it may take its time, use the same networks, or raise to end the work.
    """
    rest = _Rest(pause)
    if device.type != "cpu":
        yield lambda work, groups: [rest.after(work(group)) for group in groups]
        return
    threads = groups_at_once(device)
    keep_freed_memory()
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="group", initializer=_alone) as pool:
            yield lambda work, groups: _side_by_side(pool, 2 * threads, rest, work, groups)
    finally:
        # The pool's own choice is also what torch would give to threads that start later.
        torch.set_num_threads(threads)


def _side_by_side(
    pool: ThreadPoolExecutor,
    at_once: int,
    rest: "_Rest",
    work: Callable[[Part], Result],
    groups: Sequence[Part],
) -> list[Result]:
    """All results, with up to `at_once` groups computed or next in line."""
    results: list[Result] = []
    flying: deque[Future[Result]] = deque()
    waiting = deque(groups)
    rested = False
    try:
        while waiting or flying:
            while waiting and len(flying) < at_once and (rested or not rest.due):
                flying.append(pool.submit(work, waiting.popleft()))
                rested = False
            if flying:
                results.append(flying.popleft().result())
            else:
                rest.take()
                rested = True  # so that each pause is followed by some work
    finally:
        for future in flying:
            future.cancel()
    return results


class _Rest:
    """When to pause."""

    def __init__(self, pause: Callable[[], None] | None) -> None:
        self._pause = pause
        self._next = time.monotonic() + PAUSE_SECONDS

    @property
    def due(self) -> bool:
        return self._pause is not None and time.monotonic() >= self._next

    def take(self) -> None:
        if self._pause is not None:
            self._pause()
        self._next = time.monotonic() + PAUSE_SECONDS

    def after(self, result: Result) -> Result:
        """The result, with a pause behind it if one is due."""
        if self.due:
            self.take()
        return result


def filled(group: Tensor, size: int) -> Tensor:
    """The group [M, …] filled up to `size` by repeating its first member: computed in a group of another
    size, a result would differ in its last bits.
    """
    return torch.cat([group, group[:1].expand(size - len(group), *group.shape[1:])])


def _alone() -> None:
    torch.set_num_threads(1)
    # Numbers below 1e-38 cost a hundred times what others do; gradients of saturated units are of that size.
    torch.set_flush_denormal(True)
