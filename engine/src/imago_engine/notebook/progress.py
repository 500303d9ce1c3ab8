"""Progress of a synthesis: a callback of one's own, a bar of tqdm where that is installed, or nothing."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
        with _bar(total, what) as on_step:
            yield on_step


@contextmanager
def _bar(total: int, what: str) -> Iterator[Callable[[int], None] | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where a notebook lacks its widgets
            from tqdm.auto import tqdm
    except ModuleNotFoundError:
        yield None
        return
    # Elsewhere than in a notebook, None is for a bar on a terminal alone.
    hidden = False if "ipykernel" in sys.modules else None
    with tqdm(total=total, desc=what, unit="step", disable=hidden) as bar:

        def advance(done: int) -> None:
            bar.update(done - bar.n)

        yield advance
