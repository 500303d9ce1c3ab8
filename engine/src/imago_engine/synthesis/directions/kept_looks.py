"""Keeping what was measured of a network beyond the process that measured it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from torch import Tensor

Facts = Mapping[str, Any]
"""What determines a measurement, apart from the network and the generator: JSON."""


class KeptLooks(Protocol):
    """Where looks at one network with one generator are kept. What it gives must be what it was given."""

    def get(self, facts: Facts) -> dict[str, Tensor] | None:
        """The tensors that were put under the same facts, None where there are none."""

    def note(self, facts: Facts, seen: int, of: int) -> None:
        """Tell people that `seen` of so many codes' pictures were looked at."""

    def put(self, facts: Facts, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors; where that cannot be, they are measured again."""


_KEPT: ContextVar[KeptLooks | None] = ContextVar("kept_looks", default=None)


@contextmanager
def looks_kept_by(kept: KeptLooks | None) -> Iterator[None]:
    """While it is entered, what the calling thread measures is kept there, and taken from there; of None
    nowhere. Pictures do not depend on it: what is kept is what would be measured."""
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


def kept_looks() -> KeptLooks | None:
    return _KEPT.get()
