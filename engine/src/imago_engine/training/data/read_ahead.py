"""Let threads make the next items while the present one is used."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
_END = object()


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; each is made by another thread, one before it is asked for. What the making raises is
    raised here.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        waiting = pool.submit(next, items, _END)
        while (item := waiting.result()) is not _END:
            waiting = pool.submit(next, items, _END)
            yield item  # type: ignore[misc]


def each_ahead(
    make: Callable[[Item], Made], items: Iterable[Item], threads: int
) -> Generator[tuple[Item, Made], None, None]:
    """Each item and what is made of it, in their order; so many threads make them, and a few wait that are
    made. What the making raises is raised here. With one thread nothing is made ahead.
    """
    if threads == 1:
        yield from ((item, make(item)) for item in items)
        return
    waiting: deque[tuple[Item, Future[Made]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="each-ahead")
    try:
        for item in items:
            waiting.append((item, pool.submit(make, item)))
            if len(waiting) == 2 * threads:
                first, made = waiting.popleft()
                yield first, made.result()
        for first, made in waiting:
            yield first, made.result()
    finally:
        pool.shutdown(cancel_futures=True)
