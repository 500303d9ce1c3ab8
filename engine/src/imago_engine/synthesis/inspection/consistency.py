"""Finding networks whose answer to a picture depends on its company or on chance.

A picture is computed in company that changes from job to job, and one spec stands for one picture for ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from imago_engine.synthesis.networks.run import RESULT, Run

SUSPICIOUS = 1e-5
"""Difference, relative to the norm, between a picture alone and in company, from which on it is looked into.
Kernels for batches of another size hardly ever make one.
"""
EXACT = 1e-4
"""What two runs of one shape, in which every picture meets the same kernels, may differ by."""
SHAPES = 1e-2
"""What a network's result for one picture and for two may differ by at most, whatever the kernels."""
TRIES = 50
"""Runs that have to agree where random numbers are drawn: paths that are dropped once in ten times show."""
BY_ITSELF = "expected a network that treats each picture by itself"


@dataclass(frozen=True)
class Flaw:
    """Why pictures of a network would not be reproducible, as a sentence for people, and what makes them so
    all the same: computing each item `alone`, or that with torch's random numbers `seeded`; None if nothing
    does.
    """

    reason: str
    cure: Literal["alone", "seeded"] | None


def find_flaw(both: Run, alone: Sequence[Run | None], twice: Callable[[int], Run]) -> Flaw | None:
    """Compare a run on two pictures with runs on each of them `alone` (None for a network that cannot do
    that), and where those differ, or random numbers were drawn, with runs on one beside itself, which `twice`
    does for the first (0) or the second picture (1).
    """
    # Each of the two: what is taken of all together, as a maximum, may come from one of them.
    for place, single in enumerate(alone):
        flaw = _flaw_of(place, both, single, partial(twice, place))
        if flaw is not None:
            return flaw
    return None


def _flaw_of(place: int, both: Run, alone: Run | None, twice: Callable[[], Run]) -> Flaw | None:
    drawn = both.drawn | (alone.drawn if alone is not None else frozenset())
    if alone is not None and not drawn and not _suspicious(both, alone, place):
        return None
    first = twice()
    where = _dependence(both, first, place)
    # What is left to chance is so for either picture: many tries beside one of them are enough.
    tries = TRIES if drawn and place == 0 else 1 if where is not None else 0
    for again in (twice() for _ in range(tries)):
        differing = [layer for layer in first.samples if _differs(first, again, layer)]
        if differing:
            seedable = drawn == {"torch"} and alone is not None
            return Flaw(
                "the network gives another result each time it is run on the same pictures, first "
                f"{_place(differing[0])}: something random is left on in eval mode (dropout or noise that "
                "does not ask for self.training), or the network changes when it runs; expected the same "
                "result each time",
                cure="seeded" if seedable and _is_repeatable(twice) else None,
            )
    if where is not None:
        return Flaw(
            "what the network makes of a picture depends on the others in its batch, first "
            f"{_place(where)}: it computes across the batch (a batch norm without running statistics, a mean "
            f"over all pictures); {BY_ITSELF}",
            cure="alone" if alone is not None else None,
        )
    if alone is not None and _depends_on_count(both, alone, place):
        return Flaw(
            "what the network makes of a picture depends on how many are in its batch: its results for one "
            f"alone and for the same one among two differ; {BY_ITSELF}",
            cure="alone",
        )
    return None


def _suspicious(both: Run, alone: Run, place: int) -> bool:
    return alone.samples.keys() != both.samples.keys() or any(
        differ(sample[0], both.samples[layer][place], SUSPICIOUS) for layer, sample in alone.samples.items()
    )


def _dependence(both: Run, twice: Run, place: int) -> str | None:
    """The first layer where a picture is not the same beside the other and beside itself, or in first and in
    second place."""
    for layer, sample in twice.samples.items():
        if layer not in both.samples:
            return layer
        beside = both.samples[layer][place]
        if differ(beside, sample[place], EXACT) or differ(sample[0], sample[1], EXACT):
            return layer
    return None


def _depends_on_count(both: Run, alone: Run, place: int) -> bool:
    together, single = both.samples.get(RESULT), alone.samples.get(RESULT)
    if together is None or single is None or together[place].numel() != single.numel():
        return False
    return differ(single, together[place], SHAPES)


def _is_repeatable(run: Callable[[], Run]) -> bool:
    """Whether two runs that begin with the same state of torch's random numbers are the same."""
    runs = []
    for _ in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            runs.append(run())
    first, again = runs
    return not any(_differs(first, again, layer) for layer in first.samples)


def _differs(first: Run, again: Run, layer: str) -> bool:
    return layer not in again.samples or differ(first.samples[layer], again.samples[layer], EXACT)


def differ(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether two tensors of as many values differ by more than rounding; what is not a number equals what is
    not one."""
    if a.is_floating_point() and a.dtype.itemsize < 4:
        tolerance = max(tolerance, 8 * torch.finfo(a.dtype).eps)
    x, y = (torch.nan_to_num(t.flatten().float(), 0.0, 1e18, -1e18) for t in (a, b))
    if x.shape != y.shape:
        return True
    distance, size = float((x - y).norm()), float(y.norm())
    return distance > tolerance * size + 1e-30


def _place(layer: str) -> str:
    return "in its result" if layer == RESULT else f"in layer {layer!r} or just before it"
