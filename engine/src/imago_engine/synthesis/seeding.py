"""Networks that draw random numbers of their own, made to draw the same ones each time."""

from collections.abc import Callable, Sequence
from threading import Lock

import torch

from imago_engine.synthesis.computing.thread_groups import Part, Result, Run
from imago_engine.synthesis.inspection.consistency import Flaw

_LOCK = Lock()
_SEED = 0


def cured(run: Run, flaw: Flaw | None, device: torch.device) -> Run:
    """`run` as a network with this flaw, or with none, needs it."""
    return seeded(run, device) if flaw is not None and flaw.cure == "seeded" else run


def seeded(run: Run, device: torch.device) -> Run:
    """As `run`, but one group after the other, and each begins with the same random numbers of torch.

    Those are the process's: behind each group they are put back as they were, and other networks that are
    seeded wait for it. Pauses, which come between groups, find nothing seeded and keep nobody waiting.
    """
    devices = [device] if device.type == "cuda" else []

    def work_on(work: Callable[[Part], Result], groups: Sequence[Part]) -> list[Result]:
        def alone(group: Part) -> Result:
            with _LOCK, torch.random.fork_rng(devices=devices):
                torch.manual_seed(_SEED)
                return work(group)

        # One by one: of several, some would already wait for the lock, and a pause would come behind them.
        return [result for group in groups for result in run(alone, [group])]

    return work_on
