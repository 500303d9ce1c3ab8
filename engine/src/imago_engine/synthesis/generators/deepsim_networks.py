"""The published DeePSiM generators.

Dosovitskiy & Brox 2016, "Generating Images with Perceptual Similarity Metrics based on Deep Networks"; the
key names and layouts of its weights are kept, so that released weights load as they are.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn


class DeepsimTrunk(nn.Module):
    """The part that all DeePSiM generators share: a 4×4 tensor [N, C, 4, 4] → BGR minus mean [N, 3, 256,
    256], linear output.
    """

    def __init__(self, first_channels: int) -> None:
        super().__init__()
        self.deconv5, self.conv5_1 = _up(first_channels, 256), _same(256, 512)
        self.deconv4, self.conv4_1 = _up(512, 256), _same(256, 256)
        self.deconv3, self.conv3_1 = _up(256, 128), _same(128, 128)
        self.deconv2, self.deconv1, self.deconv0 = _up(128, 64), _up(64, 32), _up(32, 3)

    def grow(self, x: Tensor) -> Tensor:
        for layer in (
            self.deconv5, self.conv5_1, self.deconv4, self.conv4_1, self.deconv3, self.conv3_1,
            self.deconv2, self.deconv1,
        ):  # fmt: skip
            x = F.leaky_relu(layer(x), 0.3)  # each deconv doubles the side: 8, 16, 32, 64, 128
        pixels: Tensor = self.deconv0(x)  # [N, 32, 128, 128] → [N, 3, 256, 256]
        return pixels


class DeepsimVector(DeepsimTrunk):
    """Inverts a fully connected layer: code [N, code_size] → [N, 3, 256, 256]. fc6 and fc7 have 4096 neurons,
    fc8 has 1000. A code of any other shape is taken as one vector.
    """

    image_size = 256

    def __init__(self, code_size: int = 4096) -> None:
        super().__init__(first_channels=256)
        self.defc7, self.defc6, self.defc5 = (
            nn.Linear(code_size, 4096),
            nn.Linear(4096, 4096),
            nn.Linear(4096, 4096),
        )
        initialise_deepsim(self)

    def forward(self, code: Tensor) -> Tensor:
        """Codes [N, C] → pictures."""
        x = code.flatten(1)  # [N, code_size]
        for layer in (self.defc7, self.defc6, self.defc5):
            x = F.leaky_relu(layer(x), 0.3)  # [N, 4096]
        return self.grow(x.view(-1, 256, 4, 4))


class DeepsimPool5(DeepsimTrunk):
    """Inverts the last pooling layer: code [N, 256, 6, 6] → [N, 3, 256, 256]."""

    image_size = 256

    def __init__(self) -> None:
        super().__init__(first_channels=512)
        self.Rconv6 = nn.Conv2d(256, 512, 3, padding=1)
        self.Rconv7 = nn.Conv2d(512, 512, 3, padding=1)
        self.Rconv8 = nn.Conv2d(512, 512, 3)  # 6×6 → 4×4
        initialise_deepsim(self)

    def forward(self, code: Tensor) -> Tensor:
        """Codes [N, C, H, W] → pictures."""
        x = code
        for layer in (self.Rconv6, self.Rconv7, self.Rconv8):
            x = F.leaky_relu(layer(x), 0.3)  # [N, 512, 6, 6] twice, then [N, 512, 4, 4]
        return self.grow(x)


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


def _same(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=1, padding=1)


def initialise_deepsim(network: nn.Module) -> None:
    """Normal weights with std = k·√(2 / fan_in): k is 1 for linear layers, 1.8 at stride 2 and 0.9 at stride
    1; biases are 0.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            gain, fan_in = 1.0, layer.in_features
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            gain = 1.8 if layer.stride[0] == 2 else 0.9
            fan_in = layer.in_channels * math.prod(layer.kernel_size)
        else:
            continue
        nn.init.normal_(layer.weight, std=gain * math.sqrt(2 / fan_in))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
