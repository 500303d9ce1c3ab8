"""Which layers of a network a gradient reaches from its input."""

from collections.abc import Callable

import torch
from torch import Tensor

from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.synthesis.networks.run import Run
from imago_engine.synthesis.sources.network_source import NetworkError

Also = Callable[[str, Tensor], None]
"""Told of a layer's name and output."""


def reached_layers(pictures: Tensor, look: Callable[[Tensor, Also], Run]) -> tuple[Run, frozenset[str]]:
    """Differentiate one run. Answers the run and the names of the layers whose output depends on `pictures`
    [N, 3, S, S] in a way that autograd knows.

    Raises `NetworkError` when the gradient cannot be computed or reaches none.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        if output.requires_grad:
            outputs[name] = output

    x = pictures.clone(memory_format=torch.preserve_format).requires_grad_()
    run = look(x, keep)
    gradient: Tensor | None = None
    if outputs:
        # From the ends of the network back to its input: those are small, all layers' outputs are not.
        last = list(outputs.values())[-1]
        ends = [output for output in outputs.values() if output.ndim <= 2 or output is last]
        total = torch.stack([end.abs().float().sum() for end in ends]).sum()
        try:
            (gradient,) = torch.autograd.grad(total, x, allow_unused=True)
        except RuntimeError as error:
            if is_exhaustion(error):
                raise
            raise NetworkError(
                f"no gradient can be computed through the network: {error}; expected a network that autograd "
                "can follow back to its input"
            ) from error
    if gradient is None:
        raise NetworkError(
            "the network is cut off from its input: no gradient reaches any of its layers, because it works "
            "under no_grad or inference mode, detaches what it is given, rounds it to integers or is "
            "quantised; expected a network that autograd can follow back to its input"
        )
    return run, frozenset(outputs)
