"""What a generator draws of the prototypes of its codes: shown to every network that it explains."""

from threading import Lock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from imago_engine.synthesis.computing.thread_groups import Run, filled
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.stored_pixels import to_bytes

GROUP = 32
"""Pictures that are drawn, and looked at, together."""


def prototype_pictures(generator: Generator, run: Run) -> Tensor:
    """The pictures of all prototypes, uint8 RGB [K, 3, S, S] on the CPU; drawn once for each generator."""
    with _LOCK:
        known = _PICTURES.get(generator)
    if known is not None:
        return known
    assert generator.prior is not None
    codes = generator.prior.code(generator.prior.prototypes.float())
    dtype = generator.dtype

    @torch.no_grad()
    def draw(group: Tensor) -> Tensor:
        return to_bytes(generator(filled(group, GROUP).to(dtype)))[: len(group)].cpu()

    pictures = torch.cat(run(draw, torch.split(codes, GROUP)))
    with _LOCK:
        return _PICTURES.setdefault(generator, pictures)


_LOCK = Lock()
_PICTURES: "WeakKeyDictionary[Generator, Tensor]" = WeakKeyDictionary()
