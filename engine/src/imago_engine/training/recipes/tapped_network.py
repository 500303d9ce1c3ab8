"""A second network that compares and judges pictures beside EfficientNet-lite0: any classifier, tapped where
its maps are last of one size.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from imago_engine.synthesis.networks.hooks import Inputs, watching
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import submodule

MOST_TAPS = 4
LEAST_SIDE = 3
"""Places each way of the smallest map that is tapped."""
LARGEST_SHARE = 4
"""The largest map that is tapped has at most this part of the picture's pixels each way: a larger one costs
most of a discriminator's time and says little that the pixels do not.
"""


class TapError(ValueError):
    """A network gives too few maps to judge pictures by."""


@dataclass(frozen=True)
class Tap:
    """One layer's map: [N, channels, side, side] at the size that pictures are judged at."""

    layer: str
    channels: int
    side: int

    @property
    def strides(self) -> int:
        """Halvings that leave a judge of this map about four places each way, at most two."""
        return 2 if self.side >= 12 else 1 if self.side >= 5 else 0


class TappedNetwork(nn.Module):
    """RGB in [−1, 1], [N, 3, S, S] → (the taps' maps, largest first, and the deepest one's mean over places
    [N, C]).

    The taps are the last layers, in the order in which they run, of the `MOST_TAPS` smallest sizes of map.
    The network is frozen. Raises TapError for one that has fewer than two sizes of map, or does not run at
    this size.
    """

    def __init__(self, network: Network, size: int) -> None:
        super().__init__()
        self.network, self._preprocessing = network.module, network.preprocessing
        self.taps = _taps(network, size)
        self._tapped = [submodule(self.network, tap.layer) for tap in self.taps]

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(tap.channels for tap in self.taps)

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(tap.strides for tap in self.taps)

    def forward(self, rgb: Tensor) -> tuple[list[Tensor], Tensor]:
        found: dict[nn.Module, Tensor] = {}

        def keep(module: nn.Module, inputs: Inputs, output: Any) -> None:
            found[module] = output

        with watching(after=[(part, keep) for part in self._tapped]):
            x = (rgb + 1) / 2
            self.network(self._preprocessing(x).contiguous(memory_format=torch.channels_last))
        maps = [found[part] for part in self._tapped]
        return maps, maps[-1].mean((2, 3))

    def train(self, mode: bool = True) -> "TappedNetwork":
        """Stays in evaluation mode: its batch norms must not follow the pictures of a training."""
        return super().train(False)


@torch.no_grad()
def _taps(network: Network, size: int) -> tuple[Tap, ...]:
    last: dict[int, Tap] = {}
    names = {module: name for name, module in network.module.named_modules() if name}

    def keep(module: nn.Module, inputs: Inputs, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] == output.shape[3]:
            side = output.shape[3]
            last[side] = Tap(names[module], output.shape[1], side)

    blank = torch.full((1, 3, size, size), 0.5, device=network.device)
    try:
        with watching(after=[(module, keep) for module in names]):
            network.module(network.preprocessing(blank))
    except Exception as error:  # a network may raise anything at a size that it was not made for
        raise TapError(f"{network.id} does not run at {size} pixels: {error}") from error
    # Sides fall along the network; a side that comes again later (a channel last in memory) is none of these.
    sides = range(LEAST_SIDE, size // LARGEST_SHARE + 1)
    taps = sorted((tap for side, tap in last.items() if side in sides), key=lambda tap: -tap.side)
    if len(taps) < 2:
        raise TapError(
            f"{network.id} has {len(taps)} sizes of map from {sides[0]} to {sides[-1]} places "
            f"at {size} pixels: expected a network of convolutions with at least two"
        )
    return tuple(taps[-MOST_TAPS:])
