"""Which of a generator's prototypes excite units most."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from imago_engine.objectives import Place
from imago_engine.synthesis.computing.thread_groups import Run, filled
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.anatomy import TracedLayer
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.objectives import UnitObjective
from imago_engine.synthesis.pictures import Item
from imago_engine.synthesis.remembered import Remembered
from imago_engine.synthesis.starts.prototype_pictures import GROUP, prototype_pictures
from imago_engine.synthesis.stored_pixels import from_bytes

FACETS = 16
"""Seeds n, n + 16, … of the start `prototype` begin at the one that excites the unit n-th most: other seeds,
other facets. Those of `prototypes` and `direction` begin at the mean of so many, all but seeds 0, 16, …
halfway from there to one of them in turn.
"""
SHARPNESS = 2.0
"""Weights in the mean are as exp(SHARPNESS · activation / σ), σ being the unit's over all prototypes."""
KEPT = 64
T = TypeVar("T")
_ACTIVATIONS: Remembered[Tensor] = Remembered(KEPT)


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
            if blended:
                chosen.append((best, _weights(activations, best, item.seed % FACETS)))
            else:
                own = of_facet(item.seed, torch.split(best, 1))
                chosen.append((own, torch.ones(1, dtype=torch.float32, device="cpu")))
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


def of_facet(seed: int, ranked: Sequence[T]) -> T:
    """The entry that a seed begins at: the best for seed 0, other seeds take the next ones, the last where
    there are fewer.
    """
    return ranked[min(seed % FACETS, len(ranked) - 1)]


def own_prototype(activations: Tensor, item: Item) -> int:
    """The number of the prototype that an item's picture is held against, of the activations [K] of all."""
    best: list[int] = activations.argsort(descending=True, stable=True)[:FACETS].tolist()
    return of_facet(item.seed, best)


def different_best(activations: Tensor) -> list[int]:
    """The numbers of the prototypes that excite a unit most, of their activations [K]. Of those that do it
    equally, as on the flat part of a clip, there is only the first.
    """
    order = activations.argsort(descending=True, stable=True)
    values = activations[order]
    other = torch.ones_like(values, dtype=torch.bool)
    other[1:] = values[1:] != values[:-1]
    return [int(n) for n in order[other & values.isfinite()][:FACETS]]


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
