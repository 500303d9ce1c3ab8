"""A projected discriminator (Sauer et al. 2021, "Projected GANs Converge Faster"), conditioned on the
encoder's code.

Features of a fixed network are mixed by fixed random convolutions, across channels and then top-down across
scales, so that no head can look at one prominent feature alone; one small trained head a scale judges the
mixture. One more head judges the pixels themselves, patch by patch (Isola et al. 2017, arXiv 1611.07004): the
feature network was trained to overlook grain and blur.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

MIXED, WIDTH = 64, 128
"""Channels of the mixture at each scale, and within the head that judges it. Checkpoints hold weights of
these shapes: with others, a training could not be gone on with.
"""


class ScaleHead(nn.Module):
    """Mixed features [N, channels, h, w] and a code [N, code] → one logit a position [N, 1, h', w']."""

    def __init__(self, channels: int, strides: int, code_size: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(max(strides, 1)):
            stride = 2 if i < strides else 1
            kernel = 3 if stride == 2 else 1
            conv = nn.Conv2d(channels if i == 0 else width, width, kernel, stride=stride, padding=kernel // 2)
            layers += [spectral_norm(conv), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        self.logit = spectral_norm(nn.Conv2d(width, 1, 1))
        self.project = spectral_norm(nn.Linear(code_size, width))
        self.scale = 1 / math.sqrt(width)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        h = self.body(x)
        direction = self.project(code)[:, :, None, None]
        logits: Tensor = self.logit(h) + (h * direction).sum(1, keepdim=True) * self.scale
        return logits


class PixelHead(nn.Module):
    """RGB in [−1, 1], [N, 3, S, S] → one logit for each patch of 22 pixels, [N, 1, S/4, S/4]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            spectral_norm(nn.Conv2d(3, width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * width, 1, 1)),
        )

    def forward(self, rgb: Tensor) -> Tensor:
        logits: Tensor = self.body(rgb.contiguous(memory_format=torch.channels_last))
        return logits


class Discriminator(nn.Module):
    """`mix` (fixed) turns tapped features into one mixture a scale; `forward` judges mixtures and the
    pictures themselves: a list of logits, one a scale and one for the pixels, which a `pixel_width` of 0
    leaves out.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        code_size: int,
        strides: tuple[int, ...] = (2, 2, 1, 0),
        pixel_width: int = 24,
    ) -> None:
        super().__init__()
        self.across_channels = nn.ModuleList(nn.Conv2d(c, MIXED, 1, bias=False) for c in channels)
        self.across_scales = nn.ModuleList(
            nn.Conv2d(MIXED, MIXED, 3, padding=1, bias=False) for _ in channels[1:]
        )
        for conv in [*self.across_channels, *self.across_scales]:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
            conv.requires_grad_(False)
        self.tap_scale: Tensor
        self.register_buffer("tap_scale", torch.ones(len(channels)))
        self.heads = nn.ModuleList(ScaleHead(MIXED, s, code_size, WIDTH) for s in strides)
        self.pixels = PixelHead(pixel_width) if pixel_width else None

    def calibrate(self, deviations: list[Tensor]) -> None:
        """Set the scale of each tap from its standard deviation over real pictures, once, so that every head
        starts with features of unit size.
        """
        self.tap_scale.copy_(torch.stack([1 / deviation for deviation in deviations]))

    @property
    def is_calibrated(self) -> bool:
        """Whether `calibrate` was called, here or where its state comes from."""
        return bool((self.tap_scale != 1).any())

    def mix(self, taps: list[Tensor]) -> list[Tensor]:
        mixed = [
            conv(tap * scale)
            for conv, tap, scale in zip(self.across_channels, taps, self.tap_scale, strict=True)
        ]
        below = mixed[-1]
        result = [below]
        for conv, own in zip(reversed(self.across_scales), reversed(mixed[:-1]), strict=True):
            below = (own + F.interpolate(conv(below), size=own.shape[-2:], mode="nearest")) * math.sqrt(0.5)
            result.append(below)
        return result[::-1]

    def forward(self, mixtures: list[Tensor], code: Tensor, pictures: Tensor) -> list[Tensor]:
        scales = [head(x, code) for head, x in zip(self.heads, mixtures, strict=True)]
        return scales if self.pixels is None else [*scales, self.pixels(pictures)]


def discriminator_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Hinge loss, mean over positions, samples and heads."""
    losses = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).mean()


def adversarial_loss(fake: list[Tensor]) -> Tensor:
    """The generator's side of the hinge loss: minus the mean logit."""
    return -torch.stack([f.mean() for f in fake]).mean()
