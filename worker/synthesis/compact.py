"""A generator for small machines: residual blocks whose norms follow the code, half a GFLOP a picture."""

from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConditionalNorm(nn.Module):
    """Batch normalisation whose scale and shift follow the style vector [N, style]."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.film = nn.Linear(style, 2 * channels)
        nn.init.normal_(self.film.weight, std=0.02)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.film(style)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), scale + 1)


class StyledResidual(nn.Module):
    """x + convolutions of x, each after a conditional norm and leaky ReLU; shape is kept."""

    def __init__(self, channels: int, style: int, depth: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalNorm(channels, style) for _ in range(depth))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.leaky_relu(norm(y, style), 0.2))
        return x + y


class CompactNetwork(nn.Module):
    """Standardised code → RGB [N, 3, S, S] in [−1, 1], S = 4 · 2^(number of widths).

    A code is [N, code_size], or with `places` = g a grid [N, code_size, g, g] (g divides 4): its mean sets
    the style of all blocks, each place also the part of the picture that it stands for. `widths` are the
    channels at 4, 8, 16, … pixels; `depths` the convolutions of each residual block; `finish` the channels at
    full resolution, kept few because they cost most and carry only edges. With `smooth`, every doubling is
    followed by a small blur (Zhang 2019, arXiv 1904.11486; Karras et al. 2020, arXiv 1912.04958): four pixels
    that come from one place else differ by a regular grain.
    """

    def __init__(
        self,
        code_size: int = 1280,
        widths: tuple[int, ...] = (384, 208, 96, 48),
        depths: tuple[int, ...] = (2, 2, 2, 1),
        style: int = 512,
        finish: int = 12,
        places: int = 0,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths):
            raise ValueError(
                f"widths and depths must have one entry a resolution, got {len(widths)} and {len(depths)}"
            )
        if places not in (0, 1, 2, 4):
            raise ValueError(f"places must divide 4 (or be 0 for a code without places), got {places}")
        self.first, self.smooth = widths[0], smooth
        self.image_size = 4 * 2 ** len(widths)
        self.style = nn.Sequential(
            OrderedDict(linear=nn.Linear(code_size, style), norm=nn.BatchNorm1d(style), act=nn.LeakyReLU(0.2))
        )
        self.start = nn.Linear(style, widths[0] * 16)
        self.place = nn.Conv2d(code_size, widths[0], 1, bias=False) if places else None
        self.blocks = nn.ModuleList(StyledResidual(w, style, d) for w, d in zip(widths, depths, strict=True))
        self.ups = nn.ModuleList(nn.Conv2d(a, 4 * b, 1) for a, b in pairwise(widths))
        self.last_norm = ConditionalNorm(widths[-1], style)
        self.last_up = nn.Conv2d(widths[-1], 4 * finish, 3, padding=1)
        self.to_rgb = nn.Conv2d(finish, 3, 3, padding=1)
        if self.place is not None:
            nn.init.zeros_(self.place.weight)  # begins as a generator of codes without places
        for up in [*self.ups, self.last_up]:  # the four pixels of a shuffle start equal: no grain at first
            assert isinstance(up, nn.Conv2d)
            assert up.bias is not None
            up.weight.data.copy_(up.weight.data[::4].repeat_interleave(4, dim=0))
            up.bias.data.zero_()

    def forward(self, code: Tensor) -> Tensor:
        style = self.style(code.flatten(1) if self.place is None else code.mean((2, 3)))
        x = self.start(style).view(-1, self.first, 4, 4).contiguous(memory_format=torch.channels_last)
        if self.place is not None:
            x = x + F.interpolate(self.place(code), size=(4, 4), mode="nearest")
        for i, block in enumerate(self.blocks):
            x = block(x, style)
            if i < len(self.ups):
                x = self._doubled(self.ups[i](x))
        x = F.leaky_relu(self.last_norm(x, style), 0.2)
        x = F.leaky_relu(self._doubled(self.last_up(x)), 0.2)
        return torch.tanh(self.to_rgb(x))

    def _doubled(self, x: Tensor) -> Tensor:
        """[N, 4C, h, w] → [N, C, 2h, 2w]."""
        x = F.pixel_shuffle(x, 2)
        return blurred(x) if self.smooth else x


def blurred(x: Tensor) -> Tensor:
    """[N, C, h, w] by the kernel (1, 2, 1)/4 each way: what alternates from pixel to pixel is gone."""
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    x = x[:, :, 1:] + x[:, :, :-1]
    x = x[:, :, 1:] + x[:, :, :-1]
    x = x[:, :, :, 1:] + x[:, :, :, :-1]
    return (x[:, :, :, 1:] + x[:, :, :, :-1]) / 16
