"""What a process keeps of what it has read: the least recently used goes first when the bytes are full."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """At most `capacity` bytes of values, whose sizes are told when they are put. Threads may share it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep a value of `size` bytes, unless it would take more than an eighth of the memory."""
        if size > self._capacity // 8:
            return
        with self._lock:
            self._remove(key)
            self._held[key] = (value, size)
            self._size += size
            while self._size > self._capacity:
                self._remove(next(iter(self._held)))

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
            self._size = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._size

    def _remove(self, key: Key) -> None:
        _, size = self._held.pop(key, (None, 0))
        self._size -= size
