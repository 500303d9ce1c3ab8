"""Where an ascent begins."""

import math
from collections.abc import Sequence
from threading import Lock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from imago_engine.objectives import Place
from imago_engine.synthesis.computing.thread_groups import Run, filled
from imago_engine.synthesis.directions.unit_directions import Directions
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.code_spaces import CodeSpace
from imago_engine.synthesis.inspection.anatomy import TracedLayer
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.objectives import UnitObjective
from imago_engine.synthesis.pictures import Item
from imago_engine.synthesis.remembered import Remembered
from imago_engine.synthesis.stored_pixels import from_bytes, to_bytes
from imago_engine.techniques import RecipeError
from imago_engine.techniques.dgn_am import DgnAm

FACETS = 16
"""Seeds n, n + 16, … of the start `prototype` begin at the one that excites the unit n-th most: other seeds,
other facets. Those of `prototypes` and `direction` begin at the mean of so many, all but seeds 0, 16, …
halfway from there to one of them in turn.
"""
SHARPNESS = 2.0
"""Weights in the mean are as exp(SHARPNESS · activation / σ), σ being the unit's over all prototypes."""
GROUP = 32
KEPT = 64


def starting_points(
    space: CodeSpace,
    generator: Generator,
    items: Sequence[Item],
    parameters: DgnAm,
    draws: Sequence[torch.Generator],
    ranking: "Ranking",
    directions: Directions,
    run: Run,
) -> Tensor:
    """Each item's first point [N, *space.shape], from its own draw.

    `normal` is N(0, 1) in the space's coordinates, `half-normal` a code of |N(0, 1)|·σ (a ReLU's codes are
    not negative), `prototype` the centre of those real codes whose picture excites the unit most,
    `prototypes` the weighted mean of the best of them, `direction` the same, moved by
    `direction_weight` · √R in the direction in which the unit's activation grows. Raises `RecipeError` for a
    generator without prototypes.
    """
    device = generator.code_mean.device
    if parameters.start == "normal":
        return torch.stack([_normal(space.shape, draw) for draw in draws]).to(device)
    if parameters.start == "half-normal":
        shape = generator.info.code_shape
        normal = torch.stack([_normal(shape, draw) for draw in draws]).to(device)
        return space.point(normal.abs() * generator.code_std.float())
    if generator.prior is None:
        raise RecipeError(
            f"start: {parameters.start!r} needs a generator whose file has prototypes of its codes "
            "(code_prototypes); expected 'normal' or 'half-normal' for this one"
        )
    prior, prototypes = generator.prior, generator.prior.prototypes.float()
    spread = torch.stack([_normal(prototypes.shape[1:], draw) for draw in draws]).to(device)
    ranked = ranking.best(items, parameters.start != "prototype", run)
    # Item by item: a product over all would round each one's differently in other company.
    means = [(weights.to(device)[:, None] * prototypes[best.to(device)]).sum(0) for best, weights in ranked]
    if parameters.start == "direction":
        far = parameters.direction_weight * math.sqrt(prototypes.shape[1])
        ways = directions.of(items, run)
        means = [mean + far * way.to(device) for mean, way in zip(means, ways, strict=True)]
    return space.of_coordinates(torch.stack(means) + parameters.start_spread * spread, prior)


def _normal(shape: Sequence[int], draw: torch.Generator) -> Tensor:
    return torch.randn(tuple(shape), generator=draw, dtype=torch.float32, device="cpu")


class Ranking:
    """How much the pictures of a generator's prototypes excite the units of a layer.

    They are looked at once for each generator, network, layer and place, and remembered: that costs as much
    as a few items do.
    """

    def __init__(
        self, network: Network, generator: Generator, layer: TracedLayer, prefix: Prefix, fit: Fit
    ) -> None:
        self._network, self._generator, self._layer = network, generator, layer
        self._prefix, self._fit = prefix, fit

    def best(self, items: Sequence[Item], blended: bool, run: Run) -> list[tuple[Tensor, Tensor]]:
        """For each item, the numbers of the prototypes where it begins, and their weights: of all that excite
        its unit most if they are to be `blended`, else of the one that is its facet's.
        """
        found = {}
        for position in {item.position for item in items}:
            found[position] = self._activations(position, run)
        chosen = []
        for item in items:
            activations = found[item.position][:, item.unit]
            best = activations.argsort(descending=True, stable=True)[:FACETS]
            facet = item.seed % FACETS
            if blended:
                chosen.append((best, _weights(activations, best, facet)))
            else:
                own = min(facet, len(best) - 1)
                chosen.append((best[own : own + 1], torch.ones(1, dtype=torch.float32, device="cpu")))
        return chosen

    def of(self, items: Sequence[Item], run: Run) -> list[Tensor]:
        """How much each prototype excites each item's unit, [K] in memory of the host; −∞ where that is no
        number.
        """
        return [self._activations(item.position, run)[:, item.unit] for item in items]

    def _activations(self, position: Place | None, run: Run) -> Tensor:
        """[K, C], of all units of the layer at one place."""
        key = (self._layer.name, self._fit, position, self._network.dtype)
        return _ACTIVATIONS.get(
            self._network.module, self._generator, key, lambda: self._measured(position, run)
        )

    def _measured(self, position: Place | None, run: Run) -> Tensor:
        network, pictures = self._network, prototype_pictures(self._generator, run)
        (at,) = UnitObjective(self._layer, [0], [position]).positions

        @torch.no_grad()
        def look(group: Tensor) -> Tensor:
            x = self._fit(from_bytes(filled(group, GROUP)).to(network.device, network.dtype))
            output = self._prefix(network.preprocessing(x))
            seen = output if output.ndim == 2 else output[:, :, at[0], at[1]]
            return seen[: len(group)].float().cpu()

        return torch.cat(run(look, torch.split(pictures, GROUP))).nan_to_num(-torch.inf)


def _weights(activations: Tensor, best: Tensor, facet: int) -> Tensor:
    """The weights of the best [≤ K] by their activations among all [K]; equal for a unit that none excites
    more than another. What is not finite has none.

    One prototype alone may excite a unit by its background or by chance; what the best have in common is what
    the unit wants.
    """
    finite = activations[activations.isfinite()]
    sigma = finite.std(correction=0) if len(finite) else activations.new_zeros(())
    weights = torch.softmax(SHARPNESS * activations[best] / sigma.clamp_min(1e-12), 0)
    if not bool(weights.isfinite().all()):
        weights = torch.full_like(weights, 1 / len(weights))
    if facet:
        weights = weights / 2
        weights[min(facet, len(best)) - 1] += 0.5
    return weights


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
_ACTIVATIONS: Remembered[Tensor] = Remembered(KEPT)
