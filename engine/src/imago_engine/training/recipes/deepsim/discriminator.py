"""The released DeePSiM discriminator: was the code taken from this picture, or the picture made from it?"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REAL, MADE = 1, 0
"""The labels of its two logits."""
HIDDEN = 512


class DeepsimDiscriminator(nn.Module):
    """BGR minus mean [N, 3, s, s] (227 pixels as published, at least 64), code [N, *], and two dropout masks
    [N, 768] and [N, 512] → logits [N, 2].
    """

    def __init__(self, code_size: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(3, 32, 7, stride=4),
                nn.Conv2d(32, 64, 5),
                nn.Conv2d(64, 128, 3, stride=2),
                nn.Conv2d(128, 256, 3),
                nn.Conv2d(256, 256, 3, stride=2),
            ]
        )
        self.code = nn.ModuleList([nn.Linear(code_size, 1024), nn.Linear(1024, 512)])
        self.hidden = nn.Linear(256 + 512, HIDDEN)
        self.logits = nn.Linear(HIDDEN, 2)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, bgr: Tensor, code: Tensor, masks: tuple[Tensor, Tensor]) -> Tensor:
        x = bgr
        for conv in self.convs:
            x = F.relu(conv(x))  # 227: 56 → 52 → 25 → 23 → 11
        c = code.flatten(1)
        for linear in self.code:
            c = F.relu(linear(c))
        joined = torch.cat([x.mean((2, 3)), c], dim=1) * masks[0]
        logits: Tensor = self.logits(F.relu(self.hidden(joined)) * masks[1])
        return logits


def dropout_masks(count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Masks for dropout of one half, scaled by 2; drawn apart from the network so that a batch can be shared
    between processes.
    """
    joined, hidden = (torch.rand(count, n, generator=random).ge(0.5) * 2.0 for n in (256 + 512, HIDDEN))
    return joined, hidden
