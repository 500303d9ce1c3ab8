"""Slopes of the layers that a generator's codes lead to, in the encoder's own network: read off without any
picture, by giving the network codes in the place of its own.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imago_engine.synthesis.computing.thread_groups import Run, filled
from imago_engine.synthesis.directions.watched_layers import WatchedLayers
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.anatomy import Anatomy
from imago_engine.synthesis.networks.hooks import After, Inputs, watching
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import submodule

GROUP = 32
CODES = 160
"""Codes that are given for one picture: the layers before the encoder's run once for all of them."""
STEP = 1.0
"""σ along an axis, to either side, between which a slope is measured."""
Given = Callable[[Tensor], dict[str, Tensor]]


def behind_encoder(network: Network, generator: Generator, traced: Anatomy) -> set[str]:
    """The layers that the generator's codes lead to: of the encoder's own network, its layer and those after
    it."""
    names = list(traced.layers)
    encoder = generator.info.encoder_layer
    if network.weights_sha256 != generator.info.encoder_sha256 or encoder not in names:
        return set()
    return set(names[names.index(encoder) :])


def encoded_slopes(watched: WatchedLayers, generator: Generator, size: int, run: Run) -> dict[str, Tensor]:
    """Slopes [R, C] where the network is given codes: differences between two codes along each axis, at an
    input of `size` pixels."""
    assert generator.prior is not None
    network, prior = watched.network, generator.prior
    encoder = submodule(network.module, generator.info.encoder_layer)
    axes = torch.eye(len(prior.axes), dtype=torch.float32)  # [R, R]

    def given(pictures: int, filled_to: int, group: Tensor) -> dict[str, Tensor]:
        grey = torch.full((pictures, 3, size, size), 0.5, dtype=torch.float32)
        codes = prior.code(filled(group, filled_to).to(prior.mean.device))
        given_instead = _instead(codes.to(network.device, network.dtype))
        with watching(after=[(encoder, given_instead)]):
            return {name: found[: len(group)] for name, found in watched(grey).items()}

    # What the network makes of the picture is thrown away at the encoder's layer.
    quick = _same(partial(given, 1, 2), partial(given, 2, 2), STEP * axes[:2])
    pictures, together = (1, CODES) if quick else (GROUP, GROUP)
    groups = torch.split(torch.cat([STEP * axes, -STEP * axes]), together)
    parts = run(partial(given, pictures, together), groups)
    slopes = {}
    for name in parts[0]:
        ahead, behind = torch.cat([part[name] for part in parts]).chunk(2)
        slopes[name] = (ahead - behind) / (2 * STEP)
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
        found[name].shape == value.shape and torch.allclose(found[name], value, rtol=1e-3, atol=1e-4)
        for name, value in expected.items()
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
