"""Networks that draw random numbers of their own, made to draw the same ones each time."""

from collections.abc import Callable, Sequence
from threading import Lock

import torch

from imago_engine.synthesis.computing.thread_groups import Group, Result, Run
from imago_engine.synthesis.inspection.consistency import Flaw

_LOCK = Lock()
_SEED = 0


def cured(run: Run, flaw: Flaw | None, device: torch.device) -> Run:
    """`run` as a network with this flaw, or with none, needs it."""
    return seeded(run, device) if flaw is not None and flaw.cure == "seeded" else run


def seeded(run: Run, device: torch.device) -> Run:
    """As `run`, but one group after the other, and each begins with the same random numbers of torch.

    Those are the process's: they are put back as they were, and other networks that are seeded wait.
    """
    devices = [device] if device.type == "cuda" else []

    def work_on(work: Callable[[Group], Result], groups: Sequence[Group]) -> list[Result]:
        results: list[Result] = []
        with _LOCK, torch.random.fork_rng(devices=devices):
            for group in groups:
                torch.manual_seed(_SEED)
                results += run(work, [group])
        return results

    return work_on
