"""The encoder whose codes a generator learns to invert: a network of the catalog, cut off after one layer."""

import torch
import torch.nn.functional as F
from torch import Tensor

from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import LayerError, Prefix


class Encoder:
    """RGB in [0, 1], [N, 3, s, s] with s = `input_size` → codes float32 [N, *code_shape].

    With `grid` = g the layer's map [N, C, h, w] is averaged to a code [N, C, g, g]: what is in the picture
    and roughly where. Raises LayerError (imago_engine.synthesis.networks.truncate) when the network has no
    such layer, and when the layer has fewer places than the grid.
    """

    def __init__(self, network: Network, layer: str, input_size: int, grid: int | None = None) -> None:
        self.network_id, self.weights_sha256 = network.id, network.weights_sha256
        self.layer, self.input_size, self.grid = layer, input_size, grid
        self._preprocessing, self._prefix = network.preprocessing, Prefix(network.module, layer)
        self._device, self._dtype = network.device, network.dtype
        blank = torch.zeros(1, 3, input_size, input_size)
        if grid is not None:
            _check_grid(grid, tuple(self._activations(blank).shape[1:]), layer, input_size)
        self.code_shape = tuple(self(blank).shape[1:])

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Tensor:
        activations = self._activations(rgb)
        if self.grid is not None:
            activations = F.adaptive_avg_pool2d(activations, self.grid)
        return activations.float().cpu()

    @torch.inference_mode()
    def _activations(self, rgb: Tensor) -> Tensor:
        x = self._preprocessing(rgb.to(self._device, self._dtype)).contiguous(
            memory_format=torch.channels_last
        )
        return self._prefix(x)


def _check_grid(grid: int, shape: tuple[int, ...], layer: str, input_size: int) -> None:
    if len(shape) != 3:
        raise LayerError(
            f"--encoder-grid {grid}: layer {layer!r} has no places to average, its shape is {shape}"
        )
    if not 1 <= grid <= min(shape[1:]):
        raise LayerError(
            f"--encoder-grid {grid}: at {input_size} pixels layer {layer!r} has {shape[1]}×{shape[2]} "
            f"places; expected a grid of 1 to {min(shape[1:])}"
        )
