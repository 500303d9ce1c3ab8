"""Work that no request waits for: what the next ones will ask for is made ready by a thread of its own."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

import structlog

log = structlog.get_logger(__name__)

_MOST = 64
"""What may wait; whatever comes then is left out, and asked for again by whoever comes next."""


class Aside:
    """Does one thing after the other, each once however often it is asked for meanwhile."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="aside")
        self._lock = threading.Lock()
        self._asked: set[Hashable] = set()

    def do(self, name: Hashable, work: Callable[[], object]) -> None:
        """Have it done in a while, unless the same is to be done already. What goes wrong is logged."""
        with self._lock:
            if name in self._asked or len(self._asked) >= _MOST:
                return
            self._asked.add(name)
        try:
            self._executor.submit(self._done, name, work)
        except RuntimeError:  # the process ends
            self._forget(name)

    def wait(self) -> None:
        """Until all that was asked for by now is done."""
        self._executor.submit(lambda: None).result()

    def close(self) -> None:
        """Begin nothing more, and wait for what is being done."""
        self._executor.shutdown(cancel_futures=True)

    def _done(self, name: Hashable, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:
            log.exception("work_aside_failed", work=str(name))
        finally:
            self._forget(name)

    def _forget(self, name: Hashable) -> None:
        with self._lock:
            self._asked.discard(name)
