"""A cache of so many bytes for several threads: the least recently used value goes first."""

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """At most `capacity` bytes of values, whose sizes are told when they are put. Threads may share it."""

    def __init__(self, capacity: int) -> None:
        self._held: LRUCache[Key, tuple[Value, int]] = LRUCache(capacity, getsizeof=lambda held: held[1])
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The value, which counts as used now; None if it is not held."""
        with self._lock:
            held = self._held.get(key)
        return None if held is None else held[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep a value of `size` bytes, unless it would take more than an eighth of the memory."""
        if size <= self._held.maxsize // 8:
            with self._lock:
                self._held[key] = value, size

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._held.clear()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def size(self) -> int:
        """Bytes held."""
        return int(self._held.currsize)
