"""What was measured of a network together with a generator, kept for the next items that need it."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from torch import nn

from imago_engine.synthesis.generators.architectures import Generator

Value = TypeVar("Value")
Key = tuple[object, ...]


class Remembered(Generic[Value]):
    """The last `kept` values of each pair of network and generator, by a key that says all else that
    determines them. Gone with either of the two."""

    def __init__(self, kept: int) -> None:
        self._kept, self._lock = kept, Lock()
        self._of: WeakKeyDictionary[nn.Module, WeakKeyDictionary[Generator, OrderedDict[Key, Value]]]
        self._of = WeakKeyDictionary()

    def get(self, module: nn.Module, generator: Generator, key: Key, make: Callable[[], Value]) -> Value:
        """The value of `key`, made if it is not known. It must be the same whenever it is made."""
        with self._lock:
            memory = self._of.setdefault(module, WeakKeyDictionary()).setdefault(generator, OrderedDict())
            if key in memory:
                memory.move_to_end(key)
                return memory[key]
        value = make()
        with self._lock:
            memory[key] = value
            while len(memory) > self._kept:
                memory.popitem(last=False)
        return value

    def known(self, module: nn.Module, generator: Generator, key: Key) -> Value | None:
        """The value of `key` if it is remembered."""
        with self._lock:
            of_module = self._of.get(module)
            memory = None if of_module is None else of_module.get(generator)
            return None if memory is None else memory.get(key)

    def forget(self, module: nn.Module, generator: Generator, key: Key) -> None:
        """It is made anew when it is asked for again."""
        with self._lock:
            of_module = self._of.get(module)
            memory = None if of_module is None else of_module.get(generator)
            if memory is not None:
                memory.pop(key, None)
