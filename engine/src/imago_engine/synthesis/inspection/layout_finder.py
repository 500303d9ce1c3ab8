"""Which axes of what a module gives are its units and which are places, told from one run of the network.

Places are known where the operations from the picture on are (`receptive_fields`). Attention mixes all of
them, and behind it only shapes are left: those of maps and tokens that were seen before, or half as high and
wide.
"""

from math import isqrt, prod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from imago_engine.synthesis.networks.layouts import Layout
from imago_engine.synthesis.receptive_fields.rules import Placed

CHANNELS_FIRST = (_ConvNd, _BatchNorm, nn.GroupNorm)
"""torch's modules that work on [N, C, …], whatever the other axes are."""


class LayoutFinder:
    """Is shown the outputs of one run on two pictures, in their order, and tells the layout of each."""

    def __init__(self) -> None:
        self._grids: set[tuple[int, int]] = set()
        """(H, W) of the maps so far, and of tokens that form a square."""
        self.special: dict[int, tuple[int, ...]] = {}
        """By the number of tokens: those that are the same for both pictures where so many come first, before
        the network has mixed them with the others. Such are class tokens, distillation tokens and registers.
        """

    def layout(self, part: nn.Module, output: Tensor, placed: Placed | None) -> Layout | None:
        """The layout of what `part` gives for both pictures, or None if it has no units that can be told."""
        if output.shape[:1] != (2,):
            return None
        if output.ndim == 2:
            return Layout.VECTOR
        if output.ndim == 4:
            return self._map(output, placed)
        return Layout.TOKENS if output.ndim == 3 and self._are_tokens(part, output) else None

    def _map(self, output: Tensor, placed: Placed | None) -> Layout | None:
        first, second, third = output.shape[1:]
        if placed is not None:
            channels_first, channels_last = placed.dims == (2, 3), placed.dims == (1, 2)
        else:
            # Where places are lost, squareness tells which.
            channels_first = second == third
            channels_last = not channels_first and first == second and self._known((first, second))
        if channels_first:
            self._grids.add((second, third))
            return Layout.MAP
        if channels_last:
            self._grids.add((first, second))
            return Layout.MAP_CHANNELS_LAST
        return None

    def _are_tokens(self, part: nn.Module, output: Tensor) -> bool:
        count, channels = output.shape[1:]
        if count in self.special:
            return True
        if isinstance(part, CHANNELS_FIRST) or not output.is_floating_point() or not output.numel():
            return False
        special = tuple(_same(output).nonzero()[:, 0].tolist())
        patches = count - len(special)
        normalised = isinstance(part, nn.LayerNorm) and tuple(part.normalized_shape) == (channels,)
        if not (normalised or patches in self.special or self._known_count(patches)):
            return False
        self.special[count] = special if patches else ()
        side = isqrt(patches)
        if side * side == patches > 1:
            self._grids.add((side, side))
        return True

    def _known_count(self, patches: int) -> bool:
        return patches > 1 and any(patches in (prod(grid), prod(_halved(grid))) for grid in self._grids)

    def _known(self, grid: tuple[int, int]) -> bool:
        return any(grid in (known, _halved(known)) for known in self._grids)


def _halved(grid: tuple[int, int]) -> tuple[int, int]:
    height, width = grid
    return -(-height // 2), -(-width // 2)


def _same(tokens: Tensor) -> Tensor:
    """[2, T, C] → [T]: whether a token has the same values for both pictures, up to rounding."""
    a, b = tokens.detach().float()
    difference = (a - b).abs().amax(-1)
    same: Tensor = difference <= 1e-5 * torch.maximum(a.abs().amax(-1), b.abs().amax(-1))
    return same
