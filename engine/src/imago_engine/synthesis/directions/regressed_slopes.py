"""Slopes of any layer of any network, by ridge regression on the pictures of typical codes."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from imago_engine.synthesis.computing.thread_groups import Run, filled
from imago_engine.synthesis.directions.encoded_slopes import GROUP
from imago_engine.synthesis.directions.watched_layers import WatchedLayers
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.stored_pixels import from_bytes, to_bytes
from imago_engine.techniques.dgn_am import DgnAm

BLOCK = 4 * GROUP
"""Codes whose activations are held at a time."""


def regressed_slopes(
    watched: WatchedLayers, generator: Generator, fit: Fit, parameters: DgnAm, run: Run
) -> dict[str, Tensor]:
    """Slopes [R, C] by ridge regression: (XᵀX / N + ridge · V⁻¹)⁻¹ XᵀA / N, where X are the coordinates of N
    codes, A the activations that their pictures cause, both without their means, and V how much codes vary
    along each axis, 1 in the mean."""
    assert generator.prior is not None
    prior, points = generator.prior, generator.prior.typical(parameters.direction_codes)
    centred = points - points.mean(0)  # [N, R]
    device = generator.code_mean.device

    @torch.no_grad()
    def seen(group: Tensor) -> dict[str, Tensor]:
        codes = prior.code(filled(group, GROUP).to(device)).to(generator.dtype)
        pictures = from_bytes(to_bytes(generator(codes)))
        return {name: found[: len(group)] for name, found in watched(fit(pictures)).items()}

    sums: dict[str, Tensor] = {}
    for block, x in zip(torch.split(points, BLOCK), torch.split(centred, BLOCK), strict=True):
        parts = run(seen, torch.split(block, GROUP))
        if not sums:
            first = {name: found[0].clone() for name, found in parts[0].items()}
            sums = {name: torch.zeros(x.shape[1], len(row)) for name, row in first.items()}
        # What is the same for all codes is taken off: it has no slope, not even by rounding.
        run(partial(_add, sums, x, parts, first), list(sums))
    variances = prior.axes.float().flatten(1).square().sum(1).cpu()  # [R]
    ridge = parameters.direction_ridge * variances.mean() / variances

    def inverse(x: Tensor) -> Tensor:
        inverted: Tensor = torch.linalg.inv(x.T @ x / len(x) + ridge.diag())
        return inverted

    # In one thread each, as the sums: with more of them the last bits would be others.
    (inverted,) = run(inverse, [centred])
    return dict(zip(sums, run(lambda name: inverted @ sums[name], list(sums)), strict=True))


def _add(
    sums: Mapping[str, Tensor],
    x: Tensor,
    parts: Sequence[dict[str, Tensor]],
    first: Mapping[str, Tensor],
    name: str,
) -> None:
    """Add XᵀA of some codes to a layer's sum [R, C]. Their activations are let go of."""
    sums[name].addmm_(x.T, torch.cat([part.pop(name) for part in parts]) - first[name])
