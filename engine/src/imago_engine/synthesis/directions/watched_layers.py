"""A run of a network that tells what several of its layers gave, each at one place or at several."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from imago_engine.objectives import Place
from imago_engine.synthesis.inspection.anatomy import TracedLayer
from imago_engine.synthesis.networks.hooks import After, Inputs, watching
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import Prefix, submodule


class Read(NamedTuple):
    """A layer, and the place where its units are read."""

    layer: TracedLayer
    place: Place


class WatchedLayers:
    """A network that runs until the last of some layers is done, and tells what each of them gave; a layer
    that is read at several places is there several times."""

    def __init__(self, network: Network, layers: Sequence[Read]) -> None:
        self.network = network
        self._modules = [(submodule(network.module, read.layer.name), read) for read in layers]
        last = layers[-1].layer
        self._prefix = Prefix(network.module, last.name, last.layout)

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> dict[Read, Tensor]:
        """Of pictures [N, 3, S, S] in [0, 1], float32 [N, C] on the CPU of each layer and place."""
        found: dict[Read, Tensor] = {}

        def keep(read: Read) -> After:
            def hook(module: nn.Module, inputs: Inputs, output: Any) -> None:
                if read not in found:  # a later run of the same module is not the layer
                    found[read] = _units(read, output)

            return hook

        x = self.network.preprocessing(pictures.to(self.network.device, self.network.dtype))
        with watching(after=[(module, keep(read)) for module, read in self._modules]):
            self._prefix(x)
        return found


def _units(read: Read, output: Tensor) -> Tensor:
    """A layer's output → its units at the place, float32 [N, C] on the CPU. A copy: networks write over what
    they gave."""
    units = read.layer.layout.units_first(output)
    if units.ndim == 4:
        units = units[:, :, read.place[0], read.place[1]]
    return units.to("cpu", torch.float32, copy=True).nan_to_num_(0, 0, 0)
