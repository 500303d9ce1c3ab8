"""The encoder whose codes a generator learns to invert: a network of the catalog, cut off after one layer."""

import torch
from torch import Tensor

from worker.synthesis.networks import Network
from worker.synthesis.truncation import Prefix


class Encoder:
    """RGB in [0, 1], [N, 3, s, s] with s = `input_size` → codes float32 [N, *code_shape].

    Raises LayerError (worker.synthesis.truncation) when the network has no such layer.
    """

    def __init__(self, network: Network, layer: str, input_size: int) -> None:
        self.network_id, self.weights_sha256 = network.id, network.weights_sha256
        self.layer, self.input_size = layer, input_size
        self._preprocessing, self._prefix = network.preprocessing, Prefix(network.module, layer)
        self._device, self._dtype = network.device, network.dtype
        self.code_shape = tuple(self(torch.zeros(1, 3, input_size, input_size)).shape[1:])

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Tensor:
        x = self._preprocessing(rgb.to(self._device, self._dtype)).contiguous(
            memory_format=torch.channels_last
        )
        return self._prefix(x).float().cpu()
