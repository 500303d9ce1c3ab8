"""Which sizes of picture a network runs at: found by trying."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from imago_engine.networks import InputSizes
from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.recurrent import answer
from imago_engine.techniques.base import SMALLEST_INPUT

USUAL = (64, 96, 112, 128, 160, 192, 256)
"""Sizes that are asked for most, tried wherever they should run."""
_STEPS = (1, 2, 4, 8, 16, 32)
"""Networks halve the picture some times; many that join what they halved need a size that halves evenly."""


@own_modes()
def input_sizes(network: Network) -> InputSizes:
    """Try sizes around and below the network's own; each try is a forward pass of one picture.

    Sizes between those that were tried are taken to be as their neighbours are. A size counts if the network
    gives as many numbers there as at its own size, all finite. A network that fails at its own size takes no
    other: whoever inspects it says why. Memory that runs out above the own size leaves the own one as the
    largest; at the own size or below it says nothing of the network, and is raised as it is.
    """
    own = network.preprocessing.size
    expected = _answer(network, own)
    if expected is None:
        return InputSizes(own, None, own, own)

    @cache
    def runs(size: int) -> bool:
        try:
            return size >= SMALLEST_INPUT and _answer(network, size) == expected
        except Exception as error:
            if size > own and is_exhaustion(error):
                raise _TooLarge from error
            raise

    try:
        return _best(own, runs, larger=True)
    except _TooLarge:
        return _best(own, runs, larger=False)


class _TooLarge(Exception):
    """Memory ran out above the network's own size."""


def _best(own: int, runs: Callable[[int], bool], *, larger: bool) -> InputSizes:
    """The step and range that hold most of the usual sizes; `larger`: also above the own size. Raises what
    `runs` raises."""
    best, most_usual = InputSizes(own, None, own, own), 0
    for step in _STEPS:
        least = _least(own, step, runs) if runs(own - step) else own
        most = None if larger and runs(own + step) and runs(own + 5 * step) else own
        found = InputSizes(own, step, least, most)
        between = [own - (own - least) // step * quarter // 4 * step for quarter in (1, 2, 3)]
        # Where sizes between fail, those that run are further apart than this step.
        if (least, most) == (own, own) or not all(runs(s) for s in (*between, *USUAL) if s in found):
            continue
        # A neighbour that runs by chance says little: the step that allows most of the usual sizes is meant.
        usual = 1 + sum(size in found for size in USUAL)
        if usual > most_usual:
            best, most_usual = found, usual
        if usual > len(USUAL):
            break
    return best


def _least(own: int, step: int, runs: Callable[[int], bool]) -> int:
    """The least size that runs, by bisection: what runs at a size is taken to run from there to `own`."""
    running, failing = 1, (own - SMALLEST_INPUT) // step + 1  # in steps below the own size
    while failing - running > 1:
        middle = (running + failing) // 2
        running, failing = (middle, failing) if runs(own - middle * step) else (running, middle)
    return own - running * step


@torch.no_grad()
def _answer(network: Network, size: int) -> list[list[int]] | None:
    """The shapes of what the network returns for a picture of noise, or None where it cannot run or its
    numbers are not finite."""
    draw = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, size, size, generator=draw, dtype=torch.float32, device="cpu")
    x = network.preprocessing(noise.to(network.device, network.dtype))
    try:
        tensors = list(_tensors(answer(network.module, x)))
    except Exception as error:  # third-party code, at a size that it was perhaps not made for
        if is_exhaustion(error):
            raise
        return None
    finite = all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
    return [list(tensor.shape) for tensor in tensors] if finite else None


def _tensors(returned: object) -> list[Tensor]:
    """All dense float tensors in what a network returns, in order."""
    if isinstance(returned, Tensor):
        return [returned] if returned.is_floating_point() and returned.layout == torch.strided else []
    parts = returned.values() if isinstance(returned, dict) else returned
    if not isinstance(returned, dict | list | tuple):
        return []
    return [tensor for part in parts for tensor in _tensors(part)]  # type: ignore[attr-defined]
