"""Networks that take no part in making the pictures and say what they see in them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.quality.assets import Assets
from imago_engine.synthesis.networks.hooks import Inputs, watching
from imago_engine.synthesis.networks.load import Network, load_network
from imago_engine.synthesis.networks.truncate import submodule

BATCH = 25
FEATURES_OF = "mobilenet_v2"
FEATURE_LAYER = "logits.conv51"
"""MobileNetV2's last feature maps, 1280 channels; their means over space are the features of a picture."""


@dataclass(frozen=True)
class Opinions:
    """`ranks_of(classes)` needs `logits` [N, 1000]; `features` [N, 1280] are there where the judge has "
    "them."""

    logits: Tensor
    features: Tensor | None

    def ranks_of(self, classes: Tensor) -> Tensor:
        """[N]: how many classes each picture's own class stands behind; 0 is the judge's first answer."""
        own = self.logits.gather(1, classes[:, None])
        return (self.logits > own).sum(1)


class Judge:
    """A classifier with 1000 ImageNet classes that looks at pictures of any size, resized to its own "
    "input."""

    def __init__(self, network: Network, feature_layer: str | None = None) -> None:
        self.id, self._network = network.id, network
        self._features = submodule(network.module, feature_layer) if feature_layer else None

    @property
    def has_features(self) -> bool:
        """Whether it tells features."""
        return self._features is not None

    @torch.inference_mode()
    def __call__(self, images: Tensor, progress: Callable[[int], None] = lambda done: None) -> Opinions:
        """Pictures uint8 RGB [N, 3, S, S] → opinions; `progress` gets the number of pictures seen."""
        logits, features = [], []

        def keep(module: torch.nn.Module, inputs: Inputs, output: Any) -> None:
            features.append(output.mean((2, 3)))

        with watching(after=[(self._features, keep)] if self._features is not None else []):
            for part in torch.split(images, BATCH):
                x = resized(part, self._network.preprocessing.size)
                logits.append(self._network.module(self._network.preprocessing(x)))
                progress(sum(map(len, logits)))
        return Opinions(torch.cat(logits), torch.cat(features) if self._features is not None else None)


def resized(images: Tensor, size: int) -> Tensor:
    """uint8 RGB [N, 3, S, S] → [N, 3, size, size] in [0, 1], bicubic, antialiased where it shrinks."""
    x = images.float() / 255
    if x.shape[-1] != size:
        x = F.interpolate(x, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    return x


def judges(assets: Assets, without: str | None = None) -> list[Judge]:
    """EfficientNet-lite1 and MobileNetV2, in this order, but for the one that is being explained."""
    names = ["efficientnet_lite1.imagenet", FEATURES_OF]
    return [_judge(assets, name) for name in names if name != without]


def panel(assets: Assets) -> list[Judge]:
    """The same and Tiny Darknet, a plain stack of convolutions: who judges what is compared."""
    return [*judges(assets), Judge(assets.network("tiny_darknet"))]


def _judge(assets: Assets, name: str) -> Judge:
    if name == FEATURES_OF:
        return Judge(assets.network(name), FEATURE_LAYER)
    return Judge(load_network(name))
