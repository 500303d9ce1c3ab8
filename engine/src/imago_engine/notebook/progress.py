"""Progress of a synthesis: a callback of one's own, bars of tqdm where that is installed, or nothing."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from imago_engine.synthesis.directions.kept_looks import Facts

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all; what it raises ends the work."""


@contextmanager
def progress_of(progress: Progress | bool, total: int, what: str) -> Iterator[Callable[[int], None] | None]:
    """What is to be called with the number of steps done; None if nobody wants to know."""
    if callable(progress):
        yield lambda done: progress(done, total)
    elif not progress:
        yield None
    else:
        bar = _bar(total, what, "step")
        if bar is None:
            yield None
            return
        with bar:
            yield lambda done: _move(bar, done)


@contextmanager
def look_shown(progress: Progress | bool, what: str) -> Iterator[None]:
    """While it is entered, a bar shows how far a first look at a network is, should there be one; True alone
    asks for it, since a callback is told of steps."""
    from imago_engine.synthesis.directions.kept_looks import kept_looks, looks_kept_by

    if progress is not True or kept_looks() is not None:
        yield
        return
    shown = _ShownLooks(what)
    try:
        with looks_kept_by(shown):
            yield
    finally:
        shown.close()


class _ShownLooks:
    """Keeps no look, and shows how far one is: `imago_engine.synthesis.directions.kept_looks.KeptLooks`."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: Any = None

    def get(self, facts: "Facts") -> None:
        return None

    def note(self, facts: "Facts", seen: int, of: int) -> None:
        if self._bar is None:
            self._bar = _bar(of, self._what, "picture", stays=False)
        if self._bar is not None:
            _move(self._bar, seen)

    def put(self, facts: "Facts", tensors: "Mapping[str, Tensor]") -> None:
        self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _bar(total: int, what: str, unit: str, *, stays: bool = True) -> Any:
    """A bar of tqdm, which stays or vanishes when it is closed; None where that is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where a notebook lacks its widgets
            from tqdm.auto import tqdm
    except ModuleNotFoundError:
        return None
    # Elsewhere than in a notebook, None is for a bar on a terminal alone.
    hidden = False if "ipykernel" in sys.modules else None
    return tqdm(total=total, desc=what, unit=unit, leave=stays, disable=hidden)


def _move(bar: Any, done: int) -> None:
    bar.update(done - bar.n)
