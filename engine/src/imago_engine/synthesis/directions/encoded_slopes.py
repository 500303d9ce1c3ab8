"""Slopes of the layers that a generator's codes lead to, in the encoder's own network: read off without any
picture, by giving the network codes in the place of its own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imago_engine.synthesis.computing.thread_groups import Run, filled
from imago_engine.synthesis.directions.watched_layers import Read, WatchedLayers
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.anatomy import Anatomy, anatomy
from imago_engine.synthesis.networks.hooks import After, Inputs, watching
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.recurrent import answer
from imago_engine.synthesis.networks.run import test_pictures
from imago_engine.synthesis.networks.truncate import submodule
from imago_engine.synthesis.remembered import Remembered

GROUP = 32
CODES = 160
"""Codes that are given for one picture: the layers before the encoder's run once for all of them."""
STEP = 1.0
"""σ along an axis, to either side, between which a slope is measured."""
Given = Callable[[Tensor], dict[Read, Tensor]]
_DEPENDENT: Remembered[frozenset[str]] = Remembered(kept=8)
"""By the size of the input."""


def behind_encoder(network: Network, generator: Generator, input_size: int) -> frozenset[str]:
    """The layers that the generator's codes lead to: of the encoder's own network, its layer and those that
    depend on what it gives. Branches beside it, also such as finish later, do not."""
    encoder = generator.info.encoder_layer
    if network.weights_sha256 != generator.info.encoder_sha256:
        return frozenset()
    traced = anatomy(network.module, input_size)
    if encoder not in traced.layers:
        return frozenset()
    return _DEPENDENT.get(
        network.module,
        generator,
        (input_size,),
        lambda: _dependent(network.module, encoder, traced, input_size),
    )


def _dependent(module: nn.Module, encoder: str, traced: Anatomy, input_size: int) -> frozenset[str]:
    """The layers that a gradient leads back from to the encoder's own."""
    dependent, seen = set(), set[str]()

    def cut(_: nn.Module, inputs: Inputs, output: Tensor) -> Tensor:
        return output.detach().requires_grad_().clone()  # a copy, which may be written over

    def note(name: str) -> After:
        def hook(_: nn.Module, inputs: Inputs, output: Any) -> None:
            if name not in seen and isinstance(output, Tensor) and output.requires_grad:
                dependent.add(name)
            seen.add(name)  # a later run of the same module is not the layer

        return hook

    layers = [(submodule(module, name), note(name)) for name in traced.layers]
    with own_modes(), watching(after=[(submodule(module, encoder), cut), *layers]):
        answer(module, test_pictures(module, input_size))
    return frozenset(dependent)


def encoded_slopes(watched: WatchedLayers, generator: Generator, size: int, run: Run) -> dict[Read, Tensor]:
    """Slopes [R, C] where the network is given codes: differences between two codes along each axis, at an
    input of `size` pixels."""
    assert generator.prior is not None
    network, prior = watched.network, generator.prior
    encoder = submodule(network.module, generator.info.encoder_layer)
    axes = torch.eye(len(prior.axes), dtype=torch.float32)  # [R, R]

    def given(pictures: int, filled_to: int, group: Tensor) -> dict[Read, Tensor]:
        grey = torch.full((pictures, 3, size, size), 0.5, dtype=torch.float32)
        codes = prior.code(filled(group, filled_to).to(prior.mean.device))
        given_instead = _instead(codes.to(network.device, network.dtype))
        with watching(after=[(encoder, given_instead)]):
            return {read: found[: len(group)] for read, found in watched(grey).items()}

    # What the network makes of the picture is thrown away at the encoder's layer.
    quick = _same(partial(given, 1, 2), partial(given, 2, 2), STEP * axes[:2])
    pictures, together = (1, CODES) if quick else (GROUP, GROUP)
    groups = torch.split(torch.cat([STEP * axes, -STEP * axes]), together)
    parts = run(partial(given, pictures, together), groups)
    slopes = {}
    for read in parts[0]:
        ahead, behind = torch.cat([part[read] for part in parts]).chunk(2)
        slopes[read] = (ahead - behind) / (2 * STEP)
    return slopes


def _same(quick: Given, usual: Given, x: Tensor) -> bool:
    """Whether a network gives the same if it is given more codes than pictures: it may hold on to how many
    those were."""
    expected = usual(x)
    try:
        found = quick(x)
    except Exception:  # of a network's own code, which may raise anything
        return False
    return all(
        found[read].shape == value.shape and torch.allclose(found[read], value, rtol=1e-3, atol=1e-4)
        for read, value in expected.items()
    )


def _instead(codes: Tensor) -> After:
    """Let a module give `codes`; the places of a code are enlarged to those of its map, or averaged where it
    has fewer."""

    def give(_: nn.Module, inputs: Inputs, output: Tensor) -> Tensor:
        if output.ndim == 4 and codes.ndim == 4 and output.shape[1:] != codes.shape[1:]:
            fewer = output.shape[2] < codes.shape[2]
            return F.interpolate(codes, output.shape[2:], mode="area" if fewer else "nearest")
        return codes.view(len(codes), *output.shape[1:])

    return give
