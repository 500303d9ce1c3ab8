"""The fixed feature network of the discriminator: EfficientNet-lite0 with its batch norms folded away, tapped
at four depths.
"""

from typing import Any

import torch
from torch import Tensor, nn

from imago_engine.synthesis.networks.folding import folded_into

FEATURE_NETWORK = "efficientnet_lite0.imagenet"
FEATURE_CODE = 1280
TAPPED_BLOCKS = (1, 2, 4, 6)
TAPPED_CHANNELS = (24, 40, 112, 320)


class InFloat32(nn.Module):
    """A depthwise convolution with a stride, out of autocast where that means bfloat16 on a CPU: its gradient
    takes some ten times as long there as in float32, which was a quarter of a whole training step.
    """

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.bfloat16 or x.device.type != "cpu":
            return self.convolution(x)  # type: ignore[no-any-return]
        with torch.autocast("cpu", enabled=False):
            y: Tensor = self.convolution(x.float())
        return y.to(x.dtype)


class FeatureNetwork(nn.Module):
    """RGB in [−1, 1], [N, 3, S, S] → the outputs of four blocks and the pooled code [N, 1280].

    Folding halves the memory traffic: forward and backward run 1.5 times as fast on a CPU. The encoder that
    is passed in (timm's `tf_efficientnet_lite0`) is changed and must not be used elsewhere.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        m = encoder.eval().requires_grad_(False)
        m.bn1, m.bn2 = folded_into(m.conv_stem, m.bn1), folded_into(m.conv_head, m.bn2)
        for stage in m.blocks:  # type: ignore[union-attr]
            for block in stage:
                if hasattr(block, "conv_pwl"):
                    block.bn1 = folded_into(block.conv_pw, block.bn1)
                    block.bn2 = folded_into(block.conv_dw, block.bn2)
                    block.bn3 = folded_into(block.conv_pwl, block.bn3)
                else:
                    block.bn1 = folded_into(block.conv_dw, block.bn1)
                    block.bn2 = folded_into(block.conv_pw, block.bn2)
                if block.conv_dw.stride != (1, 1):
                    block.conv_dw = InFloat32(block.conv_dw)
        self.encoder = m.to(memory_format=torch.channels_last)

    def forward(self, rgb: Tensor) -> tuple[list[Tensor], Tensor]:
        m: Any = self.encoder
        x = (rgb * (127.5 / 128) + 0.5 / 128).contiguous(memory_format=torch.channels_last)
        x = m.bn1(m.conv_stem(x))
        taps = []
        for i, stage in enumerate(m.blocks):
            x = stage(x)
            if i in TAPPED_BLOCKS:
                taps.append(x)
        return taps, m.global_pool(m.bn2(m.conv_head(x)))
