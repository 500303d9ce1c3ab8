"""A scan: one pass of each picture through a network, watched at many layers at once.

Of every unit it keeps the pictures that excite it most, and two distributions over all pictures: of the
activation at its strongest place, and of the activation at the layer's usual place, where synthesized
pictures are read too. What it holds depends on the units and not on the pictures, and all of it is in
`state`: a scan that was interrupted goes on from there to the same result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from imago_engine.exemplars.quantiles import KEPT, LEVELS
from imago_engine.synthesis.computing.thread_groups import filled
from imago_engine.synthesis.exemplars.histograms import Histograms
from imago_engine.synthesis.exemplars.strongest import Places, Strongest
from imago_engine.synthesis.inspection.anatomy import TracedLayer, anatomy
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.hooks import After, Inputs, watching
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.truncate import Prefix, submodule

BATCH = 16
"""Pictures of a pass. The last bits of an activation depend on it, so it is always the same."""
_MAPS_AT_ONCE = 2**22
"""Activations that are copied at a time to find where they are largest: 16 MB."""


class StateError(ValueError):
    """A state is not one of such a scan."""


class _Part(Protocol):
    """What a scan consists of."""

    def state(self) -> dict[str, Tensor]: ...

    def restore(self, state: Mapping[str, Tensor]) -> None: ...


@dataclass(frozen=True)
class LayerFound:
    """What is known of a layer's C units; tensors are on the CPU."""

    layer: TracedLayer
    activations: Tensor
    """[C, K]: the strongest first, −∞ where there are fewer."""
    pictures: Tensor
    """[C, K]: their numbers, −1 where there are fewer."""
    places: Tensor
    """[C, K]: in the layer's map, counted row by row."""
    counted: Tensor
    """[C]: pictures whose activation is a number."""
    non_zero: Tensor
    """[C]: the share of them that excites the unit, or holds it down, anywhere."""
    quantiles: Tensor
    """[C, Q] at `LEVELS`, of the activation at the strongest place of each picture."""
    usual_quantiles: Tensor
    """The same at the layer's usual place; of a layer without places the same values."""


class Scan:
    """The units of some layers of a network. Not for several threads."""

    def __init__(
        self,
        network: Network,
        layers: Sequence[str] | None = None,
        *,
        kept: int = KEPT,
        input_size: int | None = None,
    ) -> None:
        """All layers unless some are named, at the network's own input size unless another is. Raises
        `LayerError` for a layer that there is not, `NetworkError`."""
        self.network, self.size = network, input_size or network.preprocessing.size
        """Pixels, the side of the square that the network sees of each picture."""
        traced = anatomy(network.module, self.size)
        wanted = set(traced.layers)
        if layers is not None:
            wanted = {find_layer(network, name, self.size).name for name in layers}
        self.layers = tuple(layer for name, layer in traced.layers.items() if name in wanted)
        if not self.layers:
            raise ValueError("a scan needs a layer")
        units = [layer.shape[0] for layer in self.layers]
        placed = [layer.shape[0] if len(layer.shape) > 1 else 0 for layer in self.layers]
        self.first = list(accumulate(units, initial=0))
        """Where the units of each layer begin among all of them."""
        self._first_placed = list(accumulate(placed, initial=0))
        device = network.device
        self.strongest = Strongest(sum(units), kept, device)
        self._anywhere = Histograms(sum(units), device)
        self._usual = Histograms(sum(placed), device)
        self._modules = [submodule(network.module, layer.name) for layer in self.layers]
        self._prefix = Prefix(network.module, self.layers[-1].name, self.layers[-1].layout)

    @property
    def units(self) -> int:
        """Of all its layers."""
        return self.first[-1]

    @torch.no_grad()
    def look(self, pictures: Tensor, numbers: Sequence[int]) -> None:
        """Let the network see up to `BATCH` pictures, uint8 [N, S, S, 3] of its input size. Their numbers
        rise, from batch to batch too."""
        count = len(pictures)
        network, seen = self.network, set[int]()
        rgb = filled(pictures, BATCH).to(network.device).permute(0, 3, 1, 2).float() / 255
        number = torch.tensor(numbers, dtype=torch.int64, device=network.device)

        def hook(index: int) -> After:
            def watch(module: nn.Module, inputs: Inputs, output: Any) -> None:
                if index not in seen:  # a later run of the same module is not the layer
                    seen.add(index)
                    self._take_in(index, self.layers[index].layout.units_first(output)[:count], number)

            return watch

        with own_modes(), torch.no_grad():
            x = network.preprocessing(rgb.to(network.dtype))
            with watching(after=[(module, hook(i)) for i, module in enumerate(self._modules)]):
                self._prefix(x)

    def found(self, index: int) -> LayerFound:
        """What is known of the units of a layer, by its place in `layers`."""
        own = slice(self.first[index], self.first[index + 1])
        levels = torch.tensor(LEVELS, dtype=torch.float64)
        anywhere = _only(self._anywhere, own)
        quantiles = usual = anywhere.quantiles(levels)
        placed = slice(self._first_placed[index], self._first_placed[index + 1])
        if placed.stop > placed.start:
            usual = _only(self._usual, placed).quantiles(levels)
        return LayerFound(
            layer=self.layers[index],
            activations=self.strongest.activations[own].cpu(),
            pictures=self.strongest.pictures[own].cpu(),
            places=self.strongest.places[own].cpu(),
            counted=anywhere.counted().cpu(),
            non_zero=anywhere.non_zero().cpu(),
            quantiles=quantiles,
            usual_quantiles=usual,
        )

    def state(self) -> dict[str, Tensor]:
        """All that it has to remember, whatever it has seen: tensors of the same size at any time."""
        return {
            f"{part}.{name}": tensor.cpu()
            for part, kept in self._parts().items()
            for name, tensor in kept.state().items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state of such a scan. Raises `StateError`."""
        own = {name: (tensor.shape, tensor.dtype) for name, tensor in self.state().items()}
        given = {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
        if own != given:
            raise StateError("the state is one of a scan of other layers")
        for part, kept in self._parts().items():
            kept.restore({name: state[f"{part}.{name}"] for name in kept.state()})

    def _parts(self) -> dict[str, _Part]:
        return {"strongest": self.strongest, "anywhere": self._anywhere, "usual": self._usual}

    def _take_in(self, index: int, output: Tensor, numbers: Tensor) -> None:
        """A layer's output [N, C] or [N, C, H, W] of pictures `numbers` [N]."""
        first, layer = self.first[index], self.layers[index]
        if output.ndim == 2:
            values = output.float()
            self.strongest.offer(first, values, numbers, lambda n, c: torch.zeros_like(n))
        else:
            values = output.flatten(2).amax(2).float()  # [N, C]
            self.strongest.offer(first, values, numbers, _strongest_places(output))
            y, x = layer.place
            self._usual.add(self._first_placed[index], output[:, :, y, x].float())
        self._anywhere.add(first, values)


def _strongest_places(output: Tensor) -> Places:
    """Where in maps [N, C, H, W] the largest value is, the first one of several."""
    places = output.shape[2] * output.shape[3]
    index = torch.arange(places, device=output.device)

    def find(pictures: Tensor, units: Tensor) -> Tensor:
        found = []
        at_once = max(1, _MAPS_AT_ONCE // places)
        for n, c in zip(torch.split(pictures, at_once), torch.split(units, at_once), strict=True):
            maps = output[n, c].flatten(1)  # [M, HW]
            found.append(torch.where(maps == maps.amax(1, keepdim=True), index, places).amin(1))
        return torch.cat(found)

    return find


def _only(histograms: Histograms, own: slice) -> Histograms:
    """Of some of its units."""
    part = Histograms(0)
    part.counts, part.octaves = histograms.counts[own].cpu(), histograms.octaves[own].cpu()
    part.lowest, part.highest = histograms.lowest[own].cpu(), histograms.highest[own].cpu()
    return part
