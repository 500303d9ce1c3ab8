"""Slopes of any layer of any network, by ridge regression on the pictures of typical codes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from imago_engine.synthesis.computing.thread_groups import Run, filled
from imago_engine.synthesis.directions.watched_layers import Read, WatchedLayers
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.stored_pixels import from_bytes, to_bytes
from imago_engine.techniques.dgn_am import DgnAm

GROUP = 16
BLOCK = 4 * GROUP
"""Codes whose activations are held at a time, between two of which others may go first."""


@dataclass
class Sums:
    """What of a regression was added up so far: whoever begins with these goes on from there."""

    blocks: int = 0
    """Of `BLOCK` codes each."""
    first: dict[Read, Tensor] = field(default_factory=dict)
    """[C] by layer and place: what the first code caused. It is taken off all others: what is the same for
    all codes has no slope, not even by rounding."""
    products: dict[Read, Tensor] = field(default_factory=dict)
    """[R, C] by layer and place: XᵀA."""

    def add(self, first: dict[Read, Tensor], products: dict[Read, Tensor]) -> None:
        """Add those of the next block."""
        if self.blocks == 0:
            self.first, self.products = first, products
        else:
            for read, product in products.items():
                self.products[read] += product
        self.blocks += 1


def regressed_slopes(
    watched: WatchedLayers,
    generator: Generator,
    fit: Fit,
    parameters: DgnAm,
    run: Run,
    sums: Sums,
    on_codes: Callable[[int, int], None],
) -> dict[Read, Tensor]:
    """Slopes [R, C] by ridge regression: (XᵀX / N + ridge · V⁻¹)⁻¹ XᵀA / N, where X are the coordinates of N
    codes, A the activations that their pictures cause, both without their means, and V how much codes vary
    along each axis, 1 in the mean.

    `sums` are those that an earlier call got to. Where `run` pauses, another call may take them further: this
    one goes on from there. `on_codes(seen, of)` is called after each block of codes.
    """
    assert generator.prior is not None
    prior, points = generator.prior, generator.prior.typical(parameters.direction_codes)
    centred = points - points.mean(0)  # [N, R]
    blocks, xs = torch.split(points, BLOCK), torch.split(centred, BLOCK)
    device = generator.code_mean.device

    @torch.no_grad()
    def seen(group: Tensor) -> dict[Read, Tensor]:
        codes = prior.code(filled(group, GROUP).to(device)).to(generator.dtype)
        pictures = from_bytes(to_bytes(generator(codes)))
        return {read: found[: len(group)] for read, found in watched(fit(pictures)).items()}

    on_codes(min(sums.blocks * BLOCK, len(points)), len(points))
    while (number := sums.blocks) < len(blocks):
        parts = run(seen, torch.split(blocks[number], GROUP))
        first = sums.first or {read: found[0].clone() for read, found in parts[0].items()}
        products = run(partial(_product, xs[number], parts, first), list(first))
        if sums.blocks == number:  # else another call has added it during a pause
            sums.add(first, dict(zip(first, products, strict=True)))
            on_codes(min(sums.blocks * BLOCK, len(points)), len(points))
    variances = prior.axes.float().flatten(1).square().sum(1).cpu()  # [R]
    ridge = parameters.direction_ridge * variances.mean() / variances

    def inverse(x: Tensor) -> Tensor:
        inverted: Tensor = torch.linalg.inv(x.T @ x / len(x) + ridge.diag())
        return inverted

    # In one thread each, as the products: with more of them the last bits would be others.
    (inverted,) = run(inverse, [centred])
    reads = list(sums.products)
    return dict(zip(reads, run(lambda read: inverted @ sums.products[read], reads), strict=True))


def _product(
    x: Tensor, parts: Sequence[Mapping[Read, Tensor]], first: Mapping[Read, Tensor], read: Read
) -> Tensor:
    """XᵀA of some codes, of one layer at one place [R, C]."""
    return x.T @ (torch.cat([part[read] for part in parts]) - first[read])
