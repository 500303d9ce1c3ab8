"""Groups of items side by side on the cores of a CPU.

A group of a few pictures is too small for several threads to share: on two cores, two threads that compute
one group take as long as one does. One thread a group uses all cores, and no result depends on how many there
are: with more threads, a sum is added up in another order.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch
from torch import Tensor

Group = TypeVar("Group")
Result = TypeVar("Result")


class Run(Protocol):
    def __call__(self, work: Callable[[Group], Result], groups: Sequence[Group]) -> list[Result]:
        """`work` done for every group; the results in the order of the groups. Raises what it raised."""


def lane_count(device: torch.device) -> int:
    """How many groups are computed at once: one for each of torch's threads on a CPU, else one."""
    return torch.get_num_threads() if device.type == "cpu" else 1


@contextmanager
def lanes(device: torch.device) -> Iterator[Run]:
    """While it is entered, groups run side by side on a CPU, each in one thread, and in turn elsewhere."""
    if device.type != "cpu":
        yield lambda work, groups: [work(group) for group in groups]
        return
    threads = lane_count(device)
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="lane", initializer=_alone) as pool:
            yield lambda work, groups: list(pool.map(work, groups))
    finally:
        # The lanes' own choice is also what torch would give to threads that start later.
        torch.set_num_threads(threads)


def filled(group: Tensor, size: int) -> Tensor:
    """The group [M, …] filled up to `size` by repeating its first member: computed in a group of another
    size, a result would differ in its last bits.
    """
    return torch.cat([group, group[:1].expand(size - len(group), *group.shape[1:])])


def _alone() -> None:
    torch.set_num_threads(1)
    # Numbers below 1e-38 cost a hundred times what others do; gradients of saturated units are of that size.
    torch.set_flush_denormal(True)
