"""What an eye sees before it projects: layers of EfficientNet-lite0 pooled over the picture."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import submodule


class Features:
    """RGB pictures in [0, 1], [N, 3, S, S] with S = `input_size` → [N, C]: the means of the layers' maps over
    their places, one layer after the other.

    The network is its own: its hooks stay on it, since to set them costs more than to look at a picture. Not
    thread-safe.
    """

    def __init__(self, network: Network, layers: Sequence[str], input_size: int) -> None:
        self.network, self.layers, self.input_size = network, tuple(layers), input_size
        self._pooled: dict[str, Tensor] = {}
        for name in self.layers:
            submodule(network.module, name).register_forward_hook(self._pooling(name))

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Tensor:
        """float32, on the network's device."""
        x = self.network.preprocessing(rgb.to(self.network.device, self.network.dtype))
        self.network.module(x.contiguous(memory_format=torch.channels_last))
        pooled, self._pooled = self._pooled, {}
        return torch.cat([pooled[name] for name in self.layers], dim=1)

    def _pooling(self, name: str) -> Any:
        def after(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._pooled[name] = output.float().mean((2, 3))

        return after


def squares(images: Sequence[Tensor], size: int) -> Tensor:
    """Pictures uint8 [H, W, 3] of any size → RGB in [0, 1], [N, 3, size, size]: all of each, resized.

    Interpolated without a dither or a crop: what a unit sees of a picture is small and square already.
    """
    return torch.cat([_resized(image, size) for image in images])


def _resized(image: Tensor, size: int) -> Tensor:
    rgb = image.permute(2, 0, 1)[None].float() / 255
    if rgb.shape[-2:] == (size, size):
        return rgb
    return F.interpolate(rgb, size=(size, size), mode="bicubic", antialias=True, align_corners=False).clamp(
        0, 1
    )
